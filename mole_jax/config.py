"""What a run is: one frozen dataclass, one line a field, and its JSON round trip."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mole_jax.augmentation import Augmentation, parse
from mole_jax.errors import UserError


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    transfer: bool = False,
    identity: bool = True,
) -> Any:
    """A config field.

    Args:
        default: its value where nobody gives one.
        help: what it is, one line.
        low: the smallest value, inclusive.
        high: the largest value, inclusive.
        transfer: whether it is for model=transfer alone.
        identity: whether it decides what a step computes: another value is another run, under another name.
    """
    about = {"help": help, "low": low, "high": high, "transfer": transfer, "identity": identity}
    return dataclasses.field(default=default, metadata=about)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result, and where it reads and writes."""

    model: Literal["logistic", "mlp", "cnn", "cnn_released", "cnn_nasr", "transfer"] = option("cnn", "the classifier")
    dataset: str = option("synthetic", "the name of a prepared dataset")
    examples: int = option(0, "images of the training split to learn from, drawn by the seed; 0: all", low=0)
    epochs: int = option(20, "passes over the training split", low=1, identity=False)
    patience: int = option(
        0,
        "stops after so many epochs without a better validation AUROC, in fine-tuning where there is any; 0: never",
        low=0,
        identity=False,
    )
    batch_size: int = option(100, "images a training step", low=1, high=1_000_000)
    optimizer: Literal["adam", "sgd"] = option("adam", "adam computes as Keras does, eps 1e-7")
    learning_rate: float = option(1e-3, "how far a step goes, at most", low=0)
    schedule: Literal["constant", "cosine", "step"] = option(
        "constant",
        "of the learning rate; cosine: falls to 0 over the epochs; step: a tenth at half and at three quarters of them",
    )
    warmup_epochs: float = option(0.0, "epochs in which the learning rate rises to its full height", low=0)
    clip_norm: float = option(0.0, "the largest norm that a step's gradient may have; 0: any", low=0)
    ema: float = option(
        0.0,
        "moving average of the weights, which is evaluated and kept: share of the old that a step keeps; 0: none",
        low=0,
        high=0.99999,
    )
    loss: Literal["cross_entropy", "focal", "hinge", "squared_hinge"] = option(
        "cross_entropy", "what is made small; focal: what is sure counts little; hinge: a support vector machine's"
    )
    focal_gamma: float = option(2.0, "loss=focal: how little, the power of 1 - p", low=0, high=10)
    label_smoothing: float = option(
        0.0, "melanomas count as 1 - half of this, others as half of it, in the loss", low=0, high=0.9
    )
    diagnosis_weight: float = option(
        0.0,
        "transfer: of a second loss, for telling apart what is no melanoma: nevi, keratoses, carcinomas and so on; "
        "0: none",
        low=0,
        transfer=True,
    )
    l2: float = option(0.0, "times the sum of squares of all kernels and biases, added to the loss", low=0)
    loss_reduction: Literal["mean", "sum"] = option(
        "mean", "over the batch; the paper's own logistic regression used the sum"
    )
    weight_decay: float = option(0.0, "decoupled (AdamW), of trained kernels, times the learning rate", low=0)
    normalize: Literal["image", "dataset", "batch", "imagenet", "weights"] = option(
        "image",
        "image: minus its own channel means, /255; dataset: training-set means; batch: as the paper's code did; "
        "imagenet: torchvision's means and deviations; weights: what transfer's pretrained weights were trained on",
    )
    balance: Literal["none", "sampler", "weights", "effective"] = option(
        "sampler",
        "how training meets class imbalance; sampler: as many melanomas as others in each epoch; weights: of the loss; "
        "effective: milder ones, by effective numbers of images",
    )
    augment: str = option(
        "none",
        "random changes to training images: none, dihedral (flips and quarter turns), pham, strong, or strengths such "
        "as 'dihedral rotate=180 crop=.6 color=.2'; see the README",
    )
    preprocess: Literal[
        "none", "kmeans_blur", "background_blur", "lesion_only", "lesion_crop", "lesion_masked_out", "border_only"
    ] = option(
        "none",
        "what is hidden from the network, in training and ever after; kmeans_blur: the skin is blurred, as "
        "Nasr-Esfahani et al. did, and background_blur: so too, with --masks; lesion_only, lesion_masked_out, "
        "border_only: skin, lesion, or the box around the lesion is black; lesion_crop: that box, enlarged",
    )
    masks: str = option(
        "kmeans",
        "what tells preprocess where the lesion is; kmeans: two clusters of colours; given: the dataset's own masks; "
        "or the directory of a trained segmenter (python -m experiments.segment)",
    )
    bn_momentum: float = option(
        0.99, "of the moving batch-norm statistics; lower it for runs of a few hundred steps", low=0, high=1
    )
    compute_dtype: Literal["float32", "bfloat16"] = option("float32", "of activations; parameters stay float32")
    # The keys of `mole_jax.backbones.BACKBONES`, which needs JAX.
    backbone: Literal[
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "densenet121",
        "efficientnet_lite0",
        "efficientnet_lite2",
    ] = option("resnet50", "transfer: the pretrained network", transfer=True)
    weights: str = option(
        "auto", "transfer: auto (the network's published file), random, or a file; see the README", transfer=True
    )
    head: Literal["paper", "pooled", "linear", "svm", "svm_rbf"] = option(
        "paper",
        "transfer: paper: 4096;1024;256;32;1 on the last feature map; pooled: 256;32;1 or linear: 1 on its average; "
        "svm: a support vector machine on that, solved, with --l2; svm_rbf: on random features of the RBF kernel",
        transfer=True,
    )
    levels: Literal["last", "all"] = option(
        "last",
        "transfer: heads but the paper's take the averages of the last feature map, or of those of all levels",
        transfer=True,
    )
    dropout: float = option(0.0, "transfer: share of each fully connected layer's inputs", low=0, high=1, transfer=True)
    feature_cache: Literal["auto", "off"] = option(
        "auto",
        "transfer: auto trains the head on stored features of the frozen network, in eight positions with "
        "augment=dihedral; other changes to images then begin with fine-tuning; off: on the images themselves",
        transfer=True,
    )
    finetune_epochs: int = option(
        0, "transfer: epochs after `epochs` that also train the last layers", low=0, transfer=True, identity=False
    )
    finetune_learning_rate: float = option(
        1e-5, "transfer: of these layers; the head keeps learning_rate", low=0, transfer=True
    )
    unfreeze: float = option(
        0.1, "transfer: share of the layers, from the output, to fine-tune", low=0, high=1, transfer=True
    )
    layer_decay: float = option(
        1.0,
        "transfer: finetune_learning_rate of the backbone's first layer over that of its last, geometric in between",
        low=0,
        high=1,
        transfer=True,
    )
    backbone_bn: Literal["frozen", "trained"] = option(
        "frozen",
        "transfer: the backbone's batch-norm statistics in fine-tuning; frozen: those of its pretraining",
        transfer=True,
    )
    views: int = option(
        1,
        "once trained, an image's logit is the mean over so many of the square's eight positions, in predict too",
        low=1,
        high=8,
        identity=False,
    )
    seed: int = option(0, "of initial weights, data order and augmentation", low=0)
    checkpoint_every: int = option(
        0, "steps between checkpoints within an epoch; 0: at the end of each epoch only", low=0, identity=False
    )
    data_on_device: Literal["auto", "on", "off"] = option(
        "auto",
        "the training split in the device's memory, for the same steps; auto: on accelerators, where it fits",
        identity=False,
    )
    mesh: str = option(
        "auto",
        "the devices: auto, a number such as 8 (each batch in 8 shares), or 4x2 (4 shares, large layers in 2 parts)",
        identity=False,
    )
    shard_params: Literal["auto", "off"] = option(
        "auto",
        "auto: parts the large layers where the mesh has parts; off: each device holds them whole",
        identity=False,
    )
    profile: int = option(
        0, "steps to trace into the run's profile/, for TensorBoard and Perfetto", low=0, identity=False
    )
    track: str = option(
        "tensorboard",
        "where the numbers of each step go besides the run's directory: none, or of tensorboard, mlflow and wandb",
        identity=False,
    )
    data_dir: str = option("data", "where prepared datasets lie", identity=False)
    run_dir: str = option(
        "", "where this run writes; empty: runs/<model>-<dataset>-<hash of this config>", identity=False
    )

    def __post_init__(self) -> None:
        """Checks every field's type, choices and range."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _check(field, HINTS[field.name], value)
            if self.model != "transfer" and value != field.default and field.metadata["transfer"]:
                raise UserError(f"{field.name}={value!r} is for model=transfer alone; do not give it for {self.model}")
        if self.model != "transfer" and self.normalize == "weights":
            raise UserError(f"normalize='weights' is for model=transfer; {self.model} has no pretrained weights")
        parse(self.augment)
        if self.masks != RunConfig.masks and self.preprocess in ("none", "kmeans_blur"):
            reads = "kmeans_blur has masks of its own" if self.preprocess == "kmeans_blur" else "nothing reads them"
            raise UserError(
                f"masks={self.masks!r} with preprocess={self.preprocess!r}: {reads}; give a --preprocess that does, "
                "such as background_blur or lesion_only"
            )
        if not self.masks:
            raise UserError("masks='' is empty; give kmeans, given, or the directory of a segmenter")
        if self.loss != "focal" and self.focal_gamma != RunConfig.focal_gamma:
            raise UserError(f"focal_gamma={self.focal_gamma} is for loss=focal; do not give it for {self.loss}")
        if self.label_smoothing and self.loss in ("hinge", "squared_hinge"):
            raise UserError(
                f"label_smoothing={self.label_smoothing} is for losses of probabilities, which loss={self.loss} is "
                "not; give --loss=cross_entropy or --loss=focal, or no smoothing"
            )
        if self.views > 1 and self.normalize == "batch":
            raise UserError(f"views={self.views}: with normalize=batch a score depends on its batch; give --views=1")
        on_features = self.model == "transfer" and self.head != "paper" and self.feature_cache == "auto"
        beyond = dataclasses.replace(self.augmentation, dihedral=False) != Augmentation()
        if on_features and beyond and not self.finetune_epochs and self.normalize != "batch":
            raise UserError(
                f"augment={self.augment!r} changes images, and a head on stored features sees none: give "
                "--augment=dihedral, whose eight positions are stored, --finetune_epochs=N, in which images are "
                "changed, or --feature_cache=off, which computes their features at each step"
            )
        if self.augmentation.size and (self.model != "transfer" or self.head == "paper"):
            raise UserError(
                f"augment={self.augment!r}: size={self.augmentation.size:g} is for heads on averages, which fit every "
                f"size; layers of {self.model if self.model != 'transfer' else 'the paper head'} have that of the "
                "prepared images"
            )
        if self.levels == "all" and self.head == "paper":
            raise UserError("levels='all' is for heads on averages, and head='paper' is on a map; give --head=pooled")
        if self.head in SVM:
            self._refuse_for_svm()
        shortest = min(self.epochs, self.finetune_epochs or self.epochs)
        if self.warmup_epochs > shortest:
            raise UserError(
                f"warmup_epochs={self.warmup_epochs:g} is more than the {shortest} epochs that it is to lead into; "
                "give fewer"
            )

    def _refuse_for_svm(self) -> None:
        if self.diagnosis_weight:
            raise UserError(
                f"head={self.head!r} tells two classes apart, and diagnosis_weight={self.diagnosis_weight:g} is for "
                "heads that are trained step by step; give --head=linear or --head=pooled"
            )
        if not self.l2:
            raise UserError(
                f"head={self.head!r} needs --l2, the weight of its squared norm; give one such as --l2=1e-3"
            )
        if self.finetune_epochs:
            raise UserError(
                f"head={self.head!r} is solved on stored features, which fine-tuning would change; give --head=linear "
                "--loss=squared_hinge for a machine that is trained step by step"
            )
        if self.feature_cache == "off" or self.normalize == "batch":
            raise UserError(
                f"head={self.head!r} is solved on stored features: give --feature_cache=auto, and another --normalize "
                "than batch"
            )

    @property
    def deciding(self) -> frozenset[str]:
        """The fields that decide what a step computes. A schedule leads to the last epoch, so that each of its steps
        depends on how many there are; with a constant rate a run can be continued for as long as one likes.
        """
        return IDENTITY if self.schedule == "constant" else IDENTITY | {"epochs", "finetune_epochs"}

    @property
    def augmentation(self) -> Augmentation:
        """What `augment` says."""
        return parse(self.augment)

    @property
    def hash(self) -> str:
        """Eight hex digits over whatever decides the result. Over what differs from the defaults, so that a new option
        changes no run's name.
        """
        return hashlib.sha256(json.dumps(self.chosen).encode()).hexdigest()[:8]

    @property
    def chosen(self) -> dict[str, Any]:
        """What decides the result and differs from its default, by name in alphabetical order."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {k: v for k, v in sorted(self.to_dict().items()) if k in self.deciding and v != defaults[k]}

    @property
    def name(self) -> str:
        """What a run of this config is called where nobody says otherwise."""
        return f"{self.model}-{self.dataset}-{self.hash}"

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Reads what `to_dict` wrote; a field that is missing has its default.

        Raises:
            UserError: an unknown field, a wrong type, a value outside its choices or range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UserError(f"unknown config field {unknown[0]!r}; the fields are {', '.join(sorted(known))}")
        return cls(**values)


SVM = ("svm", "svm_rbf")  # heads that are solved and not trained step by step
LARGEST_INTEGER = 2**31 - 1  # of a step, a seed, a size
LARGEST_NUMBER = 1e38  # what float32 still has room for
HINTS = get_type_hints(RunConfig)
# What decides a step, whatever the schedule; where things lie, how long to train and how often to save do not.
IDENTITY = frozenset(field.name for field in dataclasses.fields(RunConfig) if field.metadata["identity"])


def _check(field: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    low, high = field.metadata["low"], field.metadata["high"]
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise UserError(f"{field.name}={value!r} is not one of {', '.join(map(str, get_args(hint)))}")
        return
    if type(value) is not hint and not (hint is float and type(value) is int):
        raise UserError(f"{field.name}={value!r} is a {type(value).__name__}; give a {hint.__name__}")
    high = {int: LARGEST_INTEGER, float: LARGEST_NUMBER}.get(hint) if high is None else high
    if low is not None and not value >= low:  # the negation also catches NaN
        raise UserError(f"{field.name}={value!r} is too small; the smallest is {low}")
    if high is not None and not value <= high:
        raise UserError(f"{field.name}={value!r} is too large; the largest is {high:,}")
