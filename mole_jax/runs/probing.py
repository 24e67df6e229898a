"""What `experiments.probe` leaves in a run's directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mole_jax.evaluation.probing import Effect, Share
from mole_jax.evaluation.schema import Subgroup
from mole_jax.runs.findings import read_finding

FOLDER: Final = "probes"  # also the kind of the folder
PROBES: Final = "probes.json"
SCORES: Final = "scores.csv"  # a row an image: its logit, as it is and after each change, its artefacts and skin tone
SCHEMA: Final = 3  # raised where a detector counts otherwise, too, so that no page sets unlike figures side by side


@dataclass(frozen=True)
class FoundArtefact:
    """One kind of artefact.

    Attributes:
        name: for people.
        least: the strength from which on an image counts as having it.
        shares: in each split.
        drawn_in: what drawing one into the images does to their scores.
        taken_out: what taking it out of those that have it does; None where it cannot be, or too few have it.
    """

    name: str
    least: float
    shares: tuple[Share, ...]
    drawn_in: Effect
    taken_out: Effect | None


@dataclass(frozen=True)
class SkinTones:
    """Figures by the tone of the skin around the lesion.

    Attributes:
        known: how many images show enough skin.
        images: how many were looked at.
        spread: median standard error of an image's angle, in degrees; None where none shows enough skin.
        counts: split -> group -> images.
        groups: figures of the test images by group, lightest first.
    """

    known: int
    images: int
    spread: float | None
    counts: dict[str, dict[str, int]]
    groups: tuple[Subgroup, ...]


@dataclass(frozen=True)
class Probes:
    """The content of probes.json.

    Attributes:
        schema: of this file.
        classifier: tells one classifier of a run from another.
        dataset: whose images were used.
        split: which of them.
        masks: where the lesions' outlines are from, in words.
        before: the images as they are.
        threshold: of the main operating point; None: none.
        point: its name.
        verdict: one sentence.
        changes: what each change does.
        artefacts: who has them, and what they do.
        skin: figures by skin tone.
    """

    schema: int
    classifier: str
    dataset: str
    split: str
    masks: str
    before: Effect
    threshold: float | None
    point: str
    verdict: str
    changes: tuple[Effect, ...]
    artefacts: tuple[FoundArtefact, ...]
    skin: SkinTones


def read_probes(run_dir: Path) -> Probes | None:
    """What was found; None where nothing was, or of an earlier classifier or release.

    Raises:
        UserError: a file is damaged.
    """
    found: Probes | None = read_finding(run_dir, FOLDER, PROBES, Probes, schema=SCHEMA, command="probe")
    return found
