"""What a segmenter is trained on and how: one frozen dataclass and its JSON values."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.models import unet

DEEPEST: Final = 2 ** (len(unet.WIDTHS) - 1)  # the side over that of the network's last level


@dataclass(frozen=True)
class SegmentConfig:
    """What a segmenter is trained on and how.

    Attributes:
        images: the folder of images; "" where a dataset gives them.
        masks: the folder of their masks; likewise.
        dataset: the name of a prepared dataset with masks; "" where folders give them.
        data_dir: where prepared datasets lie.
        side: of the images as the network sees them, in pixels.
        epochs: passes over the training split.
        batch_size: images a step.
        learning_rate: of Adam, which falls to 0 as a cosine.
        augment: random changes of images and masks, as of `RunConfig`.
        seed: of splits, weights, order and changes.
        run_dir: where it writes; "": runs/segmenter-<hash of this>.
    """

    images: str = ""
    masks: str = ""
    dataset: str = ""
    data_dir: str = "data"
    side: int = 96
    epochs: int = 25
    batch_size: int = 16
    learning_rate: float = 2e-3
    augment: str = "dihedral rotate=180 shift=.1 zoom=.2 color=.2 hue=.02"
    seed: int = 0
    run_dir: str = ""

    def __post_init__(self) -> None:
        """Checks what can be checked without the images."""
        if bool(self.dataset) == bool(self.images or self.masks) or bool(self.images) != bool(self.masks):
            raise UserError("give --images=DIR and --masks=DIR, or --dataset=NAME of a dataset prepared with --masks")
        if self.side < DEEPEST or self.side % DEEPEST:
            raise UserError(
                f"side={self.side}: the network halves it {len(unet.WIDTHS) - 1} times; give a multiple of {DEEPEST}"
            )
        how = self.training.augmentation
        if how.mixup or how.cutmix or how.size:
            raise UserError(f"augment={self.augment!r}: mixup, cutmix and size are for classifiers; leave them out")

    @property
    def training(self) -> RunConfig:
        """The part that every training has; its values are checked there."""
        return RunConfig(
            model="cnn",
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule="cosine",
            warmup_epochs=min(1.0, self.epochs / 2),
            augment=self.augment,
            balance="none",
            seed=self.seed,
            mesh="1",
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the result, as plain JSON values."""
        return {name: value for name, value in self.to_dict().items() if name not in ("run_dir", "data_dir")}

    @property
    def name(self) -> str:
        """What its directory is called where nobody says otherwise."""
        return f"segmenter-{hashlib.sha256(json.dumps(self.deciding).encode()).hexdigest()[:8]}"
