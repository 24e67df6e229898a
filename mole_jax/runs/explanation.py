"""What `experiments.explain` leaves in a run's directory: the tests of its maps, its pictures and its components."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mole_jax.evaluation.statistics.intervals import Estimate
from mole_jax.runs.findings import read_finding

SCHEMA: Final = 3
FOLDER: Final = "explain"  # in the run's directory, and the kind of what lies in it
SALIENCY: Final = "saliency.json"
COMPONENTS: Final = "components.json"
# What people are told of each method.
TITLES: Final = {
    "gradient": "gradient",
    "input_x_gradient": "input × gradient",
    "smoothgrad": "SmoothGrad",
    "integrated_gradients": "integrated gradients",
    "cam": "CAM",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "occlusion": "occlusion",
}
SIGNED: Final = ("input_x_gradient", "integrated_gradients", "cam", "occlusion")  # below zero: against melanoma


@dataclass(frozen=True)
class Gain:
    """By how many log odds a map's order of hiding, or showing, beats random orders.

    Attributes:
        value: the mean over images.
        low: of the 95 % interval of that mean, by Student's t over images.
        high: of the same.
        curve: the mean logit after each step, from none hidden (or shown) to all.
    """

    value: float
    low: float
    high: float
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Pointing:
    """Where maps lie, where the lesions are known.

    Attributes:
        hits: the share of images whose strongest place lies in the lesion.
        inside: the mean share of a map that lies in the lesion, of what speaks for melanoma.
    """

    hits: float
    inside: float


@dataclass(frozen=True)
class MethodResult:
    """How one method did in the tests.

    Attributes:
        method: its name, a key of METHODS.
        reasons: why it failed, a phrase each; none: it passed.
        seconds: an image's map takes.
        blank: share of images whose map is the same everywhere.
        cascade: rank correlation with the trained network's map, after each step of making layers random.
        two_random: rank correlation of the maps of two random networks.
        shuffled_labels: rank correlation with the map of a network trained on shuffled labels; None: not run.
        positions: rank correlation with the map of the turned image, turned back.
        deletion: hiding the strongest places first.
        insertion: showing them first.
        completeness: of integrated gradients, the median share by which its sum misses; None of the others.
        pointing: None where lesions are not known.
    """

    method: str
    reasons: tuple[str, ...]
    seconds: float
    blank: float
    cascade: tuple[float, ...]
    two_random: float
    shuffled_labels: float | None
    positions: float
    deletion: Gain
    insertion: Gain
    completeness: float | None
    pointing: Pointing | None


@dataclass(frozen=True)
class Picture:
    """A test image with its maps.

    Attributes:
        image_id: of the image.
        kind: "missed" of a melanoma that was not called, "found" of one that was.
        score: the run's, in [0, 1].
        photograph: the file of the image itself.
        maps: method -> file of its map.
    """

    image_id: str
    kind: str
    score: float
    photograph: str
    maps: dict[str, str]


@dataclass(frozen=True)
class Saliency:
    """The content of saliency.json.

    Attributes:
        schema: of this file.
        classifier: what the run's scores come from (`runs/members.py: classifier_digest`).
        dataset: whose test images were used.
        tested: ids of the images of the tests.
        layer: the feature map that Grad-CAM reads; "": none.
        views: of how many positions of an image the run's scores, and maps, are means.
        steps: of the cascade, in words.
        random_deletion: mean logit after each step of hiding places in random order.
        random_insertion: of showing them.
        lesion_area: mean share of an image that its lesion covers; None where lesions are not known.
        centre: share of images whose middle lies in the lesion.
        lesions: where their outlines are from, or why they are not known, one sentence.
        methods: the results.
        pictures: test images with their maps.
        seconds: that all took.
        memory_gb: of this process at its peak.
    """

    schema: int
    classifier: str | None
    dataset: str
    tested: tuple[str, ...]
    layer: str
    views: int
    steps: tuple[str, ...]
    random_deletion: tuple[float, ...]
    random_insertion: tuple[float, ...]
    lesion_area: float | None
    centre: float | None
    lesions: str
    methods: tuple[MethodResult, ...]
    pictures: tuple[Picture, ...]
    seconds: float
    memory_gb: float


@dataclass(frozen=True)
class Space:
    """Principal components of pixels, or of a network's features.

    Attributes:
        name: what they are of, in words.
        explained: share of the variance that each component explains, the largest first.
        dimensions: numbers an image has there.
        images: of the training split, that they were found on.
        first: how many of the first components -> AUROC of a logistic regression on them, cross-fitted on test images.
        scores: of each test image, in the order of `Components.image_id`: its first two components.
        pictures: files of the first components as pictures; none of features.
    """

    name: str
    explained: tuple[float, ...]
    dimensions: int
    images: int
    first: dict[str, Estimate]
    scores: tuple[tuple[float, float], ...]
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Components:
    """The content of components.json.

    Attributes:
        schema: of this file.
        classifier: what the run's scores come from (`runs/members.py: classifier_digest`).
        dataset: whose images were used.
        image_id: of the test images.
        label: of each.
        group: lesion or patient of each.
        site: of each, "" where unknown.
        spaces: pixels, and features where the network has any.
        no_features: why there are none, one sentence; else "".
    """

    schema: int
    classifier: str | None
    dataset: str
    image_id: tuple[str, ...]
    label: tuple[int, ...]
    group: tuple[str, ...]
    site: tuple[str, ...]
    spaces: tuple[Space, ...]
    no_features: str


def read_saliency(run_dir: Path) -> Saliency | None:
    """What was found of a run's maps; None where nothing was, or of an earlier classifier or release.

    Raises:
        UserError: a file is damaged.
    """
    found: Saliency | None = _read(run_dir, SALIENCY, Saliency)
    return found


def read_components(run_dir: Path) -> Components | None:
    """What was found of a run's principal components; as `read_saliency`."""
    found: Components | None = _read(run_dir, COMPONENTS, Components)
    return found


def _read(run_dir: Path, name: str, kind: Any) -> Any:
    return read_finding(run_dir, FOLDER, name, kind, schema=SCHEMA, command="explain")
