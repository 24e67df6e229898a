"""Training images as a network would see them: a sheet to look at before training for hours."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mole_jax.classifier.preprocess import load_preprocessor
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset, with_fewer
from mole_jax.data.loader import draw
from mole_jax.errors import UserError
from mole_jax.files.writing import open_binary_whole
from mole_jax.inputs.pipeline import changed_images
from mole_jax.training.preprocessed import refuse_without_masks
from mole_jax.training.randomness import derive_key

ROWS, DRAWS = 6, 8  # images, and random changes of each
GAP = 4  # white pixels between two images
FORMATS = (".png", ".jpg", ".jpeg")


def preview(config: RunConfig, path: Path) -> None:
    """Writes a picture: in each row an image of the training split, then what eight steps would make of it.

    The images are those with which training begins, melanomas first; the changes are those of its first steps, as
    the compiled step makes them. Normalisation, which comes after, is not shown.

    Args:
        config: `augment`, `preprocess`, `masks`, `dataset`, `data_dir`, `seed` and `balance` are read.
        path: of a PNG or JPEG file that does not exist yet.

    Raises:
        UserError: there is such a file, its name is not a picture's, or there is no such dataset.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{str(path)!r} has no ending of a picture; give a name such as --preview=sheet.png")
    if path.exists():
        raise UserError(f"{str(path)!r} exists and would be replaced; give another name or remove it")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into; make it first")
    dataset = with_fewer(load_dataset(Path(config.data_dir), config.dataset), config.examples, seed=config.seed)
    labels = dataset.labels["train"]
    first = draw(labels, first=0, count=len(labels), seed=config.seed, balance=config.balance == "sampler")
    chosen = [int(i) for label in (1, 0) for i in first[labels[first] == label][: ROWS // 2]]
    records = [dataset.splits["train"][i] for i in chosen]
    images = np.stack([record["image"] for record in records])
    if (preprocessor := load_preprocessor(config)) is not None:
        refuse_without_masks(preprocessor, dataset)
        given = preprocessor.masks == "given"
        masks = np.stack([record["mask"] for record in records]) if given else None
        images, _ = preprocessor(images, masks)
    with open_binary_whole(path) as file:
        Image.fromarray(sheet(config, images, labels[chosen])).save(
            file, "PNG" if path.suffix.lower() == ".png" else "JPEG"
        )


def sheet(
    config: RunConfig, images: UInt8[np.ndarray, "rows side side 3"], labels: np.ndarray
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture: a row an image, itself first.

    Args:
        config: `augment` and `seed` are read.
        images: to show.
        labels: 0 or 1 for each; of two images that are mixed both count.
    """
    augment = config.augmentation

    @jax.jit
    def changed(step: jax.Array) -> jax.Array:
        key = derive_key(config.seed, "augment", step)
        return changed_images(jnp.asarray(images), jnp.asarray(labels, jnp.float32), augment, key)[0]

    columns = [images, *(np.asarray(changed(jnp.int32(step))) for step in range(DRAWS))]
    cells = np.pad(np.stack(columns, axis=1), [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)], constant_values=255)
    rows = cells.transpose(0, 2, 1, 3, 4)
    return rows.reshape(rows.shape[0] * rows.shape[1], rows.shape[2] * rows.shape[3], 3)
