"""The sheet of augmented examples shows what the steps do, and replaces nothing."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mole_jax.augmentation import parse
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.inputs.augment import augmented
from mole_jax.studies.preview import DRAWS, GAP, ROWS, preview
from mole_jax.training.randomness import derive_key

STEP = 224 + GAP


def test_each_row_is_an_image_and_what_the_first_steps_make_of_it(dataset, data_dir, tmp_path):
    config = RunConfig(data_dir=str(data_dir), augment="dihedral", seed=3)
    preview(config, tmp_path / "sheet.png")
    shown = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert shown.shape == (ROWS * STEP, (DRAWS + 1) * STEP, 3)
    cells = shown.reshape(ROWS, STEP, DRAWS + 1, STEP, 3)[:, :224, :, :224].swapaxes(1, 2)
    split = dataset.splits["train"]
    train = {record["image"].tobytes(): record["label"] for record in (split[i] for i in range(len(split)))}
    assert [train[image.tobytes()] for image in cells[:, 0]] == [1, 1, 1, 0, 0, 0]
    for step in (0, 5):
        expected = augmented(jnp.asarray(cells[:, 0]), parse("dihedral"), derive_key(3, "augment", step))
        np.testing.assert_array_equal(cells[:, step + 1], expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sheet.txt", r"'.*sheet.txt' has no ending of a picture; give a name such as --preview=sheet.png"),
        ("no/sheet.png", r"there is no folder '.*no' to write 'sheet.png' into; make it first"),
        ("there.png", r"'.*there.png' exists and would be replaced; give another name or remove it"),
    ],
)
def test_nothing_is_replaced_and_a_picture_is_called_one(data_dir, tmp_path, name, message):
    (tmp_path / "there.png").write_text("mine")
    with pytest.raises(UserError, match=message):
        preview(RunConfig(data_dir=str(data_dir)), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]
    assert (tmp_path / "there.png").read_text() == "mine"
