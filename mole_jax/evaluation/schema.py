"""The types of metrics.json and comparison.json, key by key; `schema.md` says in words what each key holds."""

from typing import Literal, NotRequired, TypedDict

from mole_jax.evaluation.statistics.intervals import AreaTest, DelongTest, Estimate

SCHEMA = 2
SplitName = Literal["train", "validation", "test"]
GroupedBy = Literal["image_id", "lesion_id", "patient_id", "group"]
FittedOn = Literal["validation", "cross-fitted"]


class Bootstrap(TypedDict):
    """How resamples were drawn."""

    resamples: int  # asked for
    seed: int
    unit: str
    interval: str


class Point(TypedDict):
    """A frozen threshold and where it comes from: an `OperatingPoint`."""

    name: str
    rule: str
    chosen_on: str
    threshold: float | None
    reason: str | None
    target: float | None
    expected: float | None
    short: float | None
    folds: NotRequired[list[float]]


class Confusion(TypedDict):
    """Images, or lesions under `by_lesion`."""

    tp: int
    fp: int
    fn: int
    tn: int


class Called(TypedDict):
    """What comes of calling some images melanoma."""

    confusion: Confusion
    accuracy: Estimate
    precision: Estimate
    sensitivity: Estimate
    specificity: Estimate
    f1: Estimate
    npv: Estimate
    balanced_accuracy: Estimate


class AtPoint(TypedDict):
    """At one threshold; where there is none, `threshold` is null and `reason` stands alone beside it."""

    threshold: float | None
    reason: NotRequired[str | None]
    confusion: NotRequired[Confusion]
    accuracy: NotRequired[Estimate]
    precision: NotRequired[Estimate]
    sensitivity: NotRequired[Estimate]
    specificity: NotRequired[Estimate]
    f1: NotRequired[Estimate]
    npv: NotRequired[Estimate]
    balanced_accuracy: NotRequired[Estimate]


class LesionAtPoint(TypedDict):
    """One threshold applied to one score a lesion."""

    threshold: float | None
    reason: NotRequired[str | None]
    confusion: NotRequired[Confusion]
    precision: NotRequired[Estimate]
    sensitivity: NotRequired[Estimate]
    specificity: NotRequired[Estimate]
    npv: NotRequired[Estimate]


class LesionEstimates(TypedDict):
    """Of one way of making one score of a lesion's images."""

    auroc: Estimate
    operating_points: dict[str, LesionAtPoint]


class ByLesion(TypedDict):
    """Lesions counted once each."""

    lesions: int
    melanomas: int
    mean: LesionEstimates
    maximum: LesionEstimates


class Scaling(TypedDict):
    """Platt's: logit of the risk = intercept + slope * logit of the score."""

    slope: Estimate
    intercept: Estimate


class Bin(TypedDict):
    """The images of one bin of scores."""

    images: int
    positives: int
    lowest_score: float
    highest_score: float
    mean_score: float
    observed: Estimate


class CurvePoint(TypedDict):
    """One point of the smooth calibration curve."""

    score: float
    observed: Estimate


class Curve(TypedDict):
    """The smooth calibration curve; no rows where there is a reason."""

    rows: list[CurvePoint]
    reason: str | None


class Calibration(TypedDict):
    """Of one set of scores."""

    brier: Estimate
    log_loss: Estimate
    in_the_large: Estimate
    observed_expected: Estimate
    slope: Estimate
    intercept: Estimate
    ece: Estimate
    ece_usual: float
    bins: list[Bin]
    curve: Curve


class Calibrations(TypedDict):
    """Of the scores as given and as scaled on validation, or cross-fitted where there is none."""

    before: Calibration
    fitted_on: NotRequired[str]
    temperature: NotRequired[Estimate]
    after_temperature: NotRequired[Calibration]
    platt: NotRequired[Scaling]
    after_platt: NotRequired[Calibration]


class PrevalenceRow(TypedDict):
    """What the main threshold means in one population."""

    prevalence: float
    ppv: Estimate
    npv: Estimate
    risk_at_threshold: float | None


class Prevalence(TypedDict):
    """The main threshold at other prevalences."""

    calibrated_at: float | None
    reason: str | None
    rows: list[PrevalenceRow]


class DecisionRow(TypedDict):
    """The net benefit at one risk."""

    risk: float
    model: Estimate
    treat_all: float
    treat_none: float


class DecisionCurve(TypedDict):
    """The net benefit from 1 to 30 % of risk."""

    scores: Literal["as_given", "platt_scaled", "platt_scaled_cross_fitted"]
    rows: list[DecisionRow]


class Contrast(TypedDict):
    """A subgroup less all other images of the split."""

    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate


class Counts(TypedDict):
    """How many images and lesions there are."""

    images: int
    positives: int
    negatives: int
    grouped_by: GroupedBy
    groups: int
    positive_groups: int
    negative_groups: int
    mixed_groups: int


class Subgroup(Counts):
    """One level of one attribute."""

    level: str
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    difference: Contrast


class SubgroupContrast(Contrast):
    """One level less another."""

    levels: list[str]


class ExpectedCost(TypedDict):
    """The mean cost of an image."""

    miss: float
    false_alarm: float
    call_all: Estimate
    call_none: Estimate
    operating_points: dict[str, Estimate]


class AtBudget(TypedDict):
    """What the images with the highest scores find."""

    images: int
    lowest_score: float
    tied: int
    sensitivity: Estimate
    ppv: Estimate


class ThresholdFree(TypedDict):
    """What needs no threshold."""

    auroc: Estimate
    partial_auroc: Estimate
    average_precision: Estimate
    brier: Estimate
    log_loss: Estimate


class Split(Counts, ThresholdFree):
    """One split; the keys from `calibration` on belong to the test split."""

    auroc_delong: Estimate
    operating_points: dict[str, AtPoint]
    by_lesion: NotRequired[ByLesion]
    resamples: NotRequired[int]
    optimistic: NotRequired[bool]
    calibration: NotRequired[Calibrations]
    decision_curve: NotRequired[DecisionCurve]
    subgroups: NotRequired[dict[str, list[Subgroup]]]
    subgroup_contrasts: NotRequired[dict[str, list[SubgroupContrast]]]
    prevalence: NotRequired[Prevalence]
    expected_cost: NotRequired[ExpectedCost]
    budgets: NotRequired[list[AtBudget]]


class Shared(TypedDict):
    """What two splits have in common."""

    splits: list[str]
    groups: int
    images: int
    affected_images: int
    examples: list[str]


class OverSeeds(TypedDict):
    """One training under several seeds, on one split."""

    auroc: list[Estimate]
    mean: Estimate
    deviation: float | None


class Repeats(TypedDict):
    """One training under several seeds; the rest of the file is about their ensemble."""

    seeds: list[int]
    splits: dict[str, OverSeeds]


class Metrics(TypedDict):
    """metrics.json."""

    schema: int
    protocol: str | None
    leaky: bool | None
    leak: str
    level: float
    bootstrap: Bootstrap
    main_operating_point: str | None
    operating_points: dict[str, Point]
    splits: dict[str, Split]
    shared_groups: list[Shared]
    warnings: list[str]
    external: NotRequired[dict[str, object]]
    repeats: NotRequired[Repeats]


class Drawn(TypedDict):
    """Of a comparison: resamples taken, and their seed."""

    resamples: int
    seed: int


class McNemar(TypedDict):
    """Images that only one of two models gets right."""

    only_first_right: int
    only_second_right: int
    p_value: float
    p_value_holm: NotRequired[float]
    method: str


class Pair(TypedDict):
    """Two models, first minus second."""

    models: list[str]
    difference: dict[str, Estimate]
    simultaneous: NotRequired[dict[str, Estimate]]
    auroc_test: AreaTest | None
    delong: DelongTest
    mcnemar: McNemar | None


class Compared(ThresholdFree):
    """One model of a comparison."""

    source: str
    threshold: float | None
    auroc_delong: Estimate
    accuracy: NotRequired[Estimate]
    precision: NotRequired[Estimate]
    sensitivity: NotRequired[Estimate]
    specificity: NotRequired[Estimate]
    f1: NotRequired[Estimate]
    npv: NotRequired[Estimate]
    balanced_accuracy: NotRequired[Estimate]


class Comparison(TypedDict):
    """comparison.json."""

    schema: int
    level: float
    bootstrap: Drawn
    data: Counts
    models: dict[str, Compared]
    pairs: list[Pair]
    warnings: list[str]
