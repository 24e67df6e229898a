"""A classifier on disk, in the run's folder `classifier/`: what a copied run needs to score photographs.

`classifier.json` says what it is; `variables.safetensors` has what was trained, `backbone-<digest>.safetensors` a
frozen backbone; `SHA256SUMS` what each of them was when it was written. Runs that lie side by side share one copy of a
backbone by hard links (94 MB for ResNet50); a run that is copied elsewhere takes its own along.
"""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import msgspec

from mole_jax.backbones import FAMILIES, family_of
from mole_jax.backbones.base import Architecture
from mole_jax.backbones.weights import Pretrained, Provenance
from mole_jax.classifier.classifier import Classifier, Origin
from mole_jax.classifier.decision import Decision
from mole_jax.classifier.network import Stage, variable_shapes
from mole_jax.classifier.preprocess import Preprocessor
from mole_jax.classifier.segmenter import About, read_segmenter
from mole_jax.config import RunConfig
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.changes import SUMS, is_ours, move_file, remove_file
from mole_jax.files.digest import file_sha256
from mole_jax.files.folder import new_folder, publish
from mole_jax.files.reading import read_record
from mole_jax.files.sums import verify
from mole_jax.files.tensors import differences, flatten, read_tensors, shape_text, unflatten, write_tensors
from mole_jax.files.writing import write_json
from mole_jax.inputs.normalize import Inputs, Preprocessing
from mole_jax.runs.directory import CLASSIFIER, CONFIG, MEMBERS, METRICS
from mole_jax.runs.members import is_ensemble

# The first is of classifiers whose images are not preprocessed, which older versions read as well.
FORMAT, FORMAT_PREPROCESSED = 2, 3
ABOUT: Final = "classifier.json"
VARIABLES: Final = "variables.safetensors"
SEGMENTER: Final = "segmenter.safetensors"
DIGITS: Final = 16  # of a backbone's digest, in its file's name


@dataclass(frozen=True)
class StoredBackbone:
    """A backbone, apart from its weights; `file` is "" where they were trained too and are among the variables."""

    file: str
    network: dict[str, Any]  # the fields of its family's dataclass
    preprocessing: Preprocessing | None
    provenance: Provenance
    family: str = "resnet"  # a key of FAMILIES; classifiers from before there were others do not say


@dataclass(frozen=True)
class Stored:
    """The content of classifier.json."""

    format: int
    class_names: tuple[str, str]
    stage: Stage
    inputs: Inputs
    decision: Decision
    origin: Origin
    backbone: StoredBackbone | None
    config: RunConfig
    segmenter: About | None = None


def save(classifier: Classifier, run_dir: Path) -> Path:
    """Writes `run_dir/classifier/`, over an earlier one; it appears whole or not at all.

    Raises:
        UserError: the disk is too full.
    """
    final = run_dir / CLASSIFIER
    remedy = "make room and give the same command again, which goes on from the newest checkpoint"
    otherwise = "move what is not a classifier's out of it"
    with full_disk_explained(run_dir, remedy), new_folder(final, CLASSIFIER, otherwise=otherwise) as folder:
        write_tensors(folder / VARIABLES, _trained(classifier))
        backbone = None
        if classifier.backbone is not None:
            frozen, name = classifier.backbone, ""
            if classifier.stage == "head":
                name = _write_backbone(folder, frozen, beside=run_dir)
            network, family = dataclasses.asdict(frozen.config), family_of(frozen.config)
            backbone = StoredBackbone(name, network, frozen.preprocessing, frozen.provenance, family)
        segmenter = classifier.preprocessor.segmenter if classifier.preprocessor else None
        if segmenter is not None:
            write_tensors(folder / SEGMENTER, jax.device_get(segmenter.variables))
        about = Stored(
            FORMAT_PREPROCESSED if classifier.preprocessor else FORMAT,
            classifier.class_names,
            classifier.stage,
            classifier.inputs,
            classifier.decision,
            classifier.origin,
            backbone,
            classifier.config,
            segmenter.about if segmenter else None,
        )
        stored = {name: value for name, value in dataclasses.asdict(about).items() if name != "segmenter" or value}
        write_json(folder / ABOUT, stored)
        publish(folder, final, CLASSIFIER)
    return final


def open_run(run_dir: str | os.PathLike[str]) -> Classifier:
    """Opens the classifier of a finished run; needs neither its dataset nor a network connection.

    Args:
        run_dir: the run's directory, or a copy of it; of a copy, `classifier/` alone is enough.

    Raises:
        UserError: there is no run, it is not finished, it is from before classifiers were kept, or a file of it is
            damaged or was changed.
    """
    run_dir = Path(run_dir)
    folder = run_dir / CLASSIFIER
    if not (folder / ABOUT).is_file():
        raise UserError(_why_there_is_none(run_dir))
    again = _again(run_dir)
    about = read_record(folder / ABOUT, Stored, remedy=again)
    if about.format not in (FORMAT, FORMAT_PREPROCESSED):
        raise UserError(
            f"{folder / ABOUT} has format {about.format} and this version of mole_jax reads {FORMAT} and "
            f"{FORMAT_PREPROCESSED}: use the version that wrote it, or {again}"
        )
    files = [ABOUT, VARIABLES, *([about.backbone.file] if about.backbone and about.backbone.file else [])]
    files += [SEGMENTER] if about.segmenter else []
    if not is_ours(folder):
        raise UserError(f"{folder / SUMS} is missing; {again}")
    verify(folder, CLASSIFIER, files, again=again)
    variables = {"params": {}, "batch_stats": {}} | unflatten(read_tensors(folder / VARIABLES)[0])
    backbone = None
    if (stored := about.backbone) is not None:
        weights = unflatten(read_tensors(folder / stored.file)[0]) if stored.file else {}
        network = architecture_of(stored, folder / ABOUT, again)
        backbone = Pretrained(weights, network, stored.preprocessing, stored.provenance)
    classifier = Classifier(
        config=about.config,
        variables=variables,
        stage=about.stage,
        backbone=backbone,
        inputs=about.inputs,
        decision=about.decision,
        origin=about.origin,
        class_names=about.class_names,
        preprocessor=_preprocessor(about, folder, again),
    )
    _refuse_other_shapes(classifier, folder / VARIABLES, again)
    return classifier


def _preprocessor(about: Stored, folder: Path, again: str) -> Preprocessor | None:
    how, masks = about.config.preprocess, about.config.masks
    if how == "none":
        return None
    if about.segmenter is not None:
        segmenter = read_segmenter(folder / SEGMENTER, about.segmenter, again=again)
        return Preprocessor(how, "segmenter", segmenter)
    if masks not in ("kmeans", "given"):
        raise UserError(f"{folder / ABOUT} is damaged (masks {masks!r} and no segmenter); {again}")
    return Preprocessor(how, "given" if masks == "given" else "kmeans")


def architecture_of(stored: StoredBackbone, path: Path, again: str) -> Architecture:
    """The network that a file describes.

    Args:
        stored: as it was read.
        path: of the file, for messages.
        again: how to write it anew, for messages.

    Raises:
        UserError: its family is not known, or its fields are not that family's.
    """
    if stored.family not in FAMILIES:
        raise UserError(
            f"{path} has a backbone of the family {stored.family!r}, and this version of mole_jax knows "
            f"{', '.join(FAMILIES)}: use the version that wrote it, or {again}"
        )
    try:
        network: Architecture = msgspec.convert(stored.network, FAMILIES[stored.family])
    except msgspec.ValidationError as error:
        raise UserError(f"{path} is damaged (its backbone's network: {error}); {again}") from error
    return network


def _trained(classifier: Classifier) -> dict[str, Any]:
    return {kind: jax.device_get(leaves) for kind, leaves in classifier.variables.items()}


def _write_backbone(folder: Path, backbone: Pretrained, *, beside: Path) -> str:
    """Writes the weights, or links to a copy of them in a run nearby; gives the file's name."""
    part = folder / "backbone.part"
    write_tensors(part, backbone.variables)
    digest = file_sha256(part)
    name = f"backbone-{digest[:DIGITS]}.safetensors"
    for twin in sorted(beside.absolute().parent.glob(f"*/{CLASSIFIER}/{name}")):
        try:
            if not twin.is_symlink() and file_sha256(twin) == digest:
                os.link(twin, folder / name)
                remove_file(part)
                return name
        except OSError:  # another file system, or one without hard links
            continue
    move_file(part, folder / name)
    return name


def _refuse_other_shapes(classifier: Classifier, path: Path, again: str) -> None:
    have = {name: shape_text(array) for name, array in flatten(classifier.variables).items()}
    need = {name: shape_text(array) for name, array in flatten(variable_shapes(classifier.network)).items()}
    if different := differences(have, need).describe():
        raise UserError(f"{path} does not fit its own model ({different}); {again}")


def _why_there_is_none(run_dir: Path) -> str:
    if not run_dir.is_dir():
        return f"there is no run directory {str(run_dir)!r}; give --run=runs/NAME"
    if not (run_dir / CONFIG).is_file():
        return f"{str(run_dir)!r} is no run directory: it has no {CONFIG}; give --run=runs/NAME"
    if is_ensemble(run_dir):
        return (
            f"{str(run_dir)!r} is the ensemble of several runs: open one of {run_dir / MEMBERS}, or score photographs "
            f"with all of them, python -m experiments.predict --run={run_dir}"
        )
    if not (run_dir / METRICS).is_file():
        return f"the run in {str(run_dir)!r} is not finished; {_again(run_dir)}"
    return f"the run in {str(run_dir)!r} is from before classifiers were kept with their run; {_again(run_dir)}"


def _again(run_dir: Path) -> str:
    if not is_ours(run_dir):  # a copy, or a run of an older release, which cannot be gone on with
        return f"python -m experiments.run --config={run_dir / CONFIG} --run_dir=ANOTHER trains it anew"
    return (
        f"python -m experiments.run --config={run_dir / CONFIG} --run_dir={run_dir} goes on from its checkpoint and "
        "writes it"
    )
