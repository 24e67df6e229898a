"""What a run has seen is recognised under other names, whatever was done to it."""

import pytest
from PIL import Image

from mole_jax.audit.look_alikes import add_look_alikes
from mole_jax.data.dataset import open_dataset
from mole_jax.data.overlap import find_overlap
from mole_jax.data.prepare.prepare import prepare

CHANGES = {
    "turned": lambda image: image.rotate(17, resample=Image.Resampling.BILINEAR),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cut": lambda image: image.crop((20, 20, 204, 204)).resize((224, 224)),
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A drawn dataset that has been trained on, and another: changed copies of its images, and drawings of its own."""
    folder = tmp_path_factory.mktemp("data")
    prepare("seen", layout="synthetic", examples=40, data_dir=folder, workers=1)
    prepare("fresh", layout="synthetic", protocol="external", examples=12, seed=3, data_dir=folder, workers=1)
    seen, fresh = open_dataset(folder, "seen"), open_dataset(folder, "fresh")
    source = folder / "source"
    for split, rows in seen.rows.items():
        for i, row in enumerate(rows[:6]):
            how = list(CHANGES)[i % 3]
            path = source / ("NotMelanoma", "Melanoma")[row.label] / f"{split}-{how}-{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(seen.splits[split][i]["image"])
            CHANGES[how](image).save(path, quality=85)
    for i, row in enumerate(fresh.rows["test"]):
        path = source / ("NotMelanoma", "Melanoma")[row.label] / f"new{i}.png"
        Image.fromarray(fresh.splits["test"][i]["image"]).save(path)
    prepare("other", source, protocol="external", data_dir=folder, workers=1)
    return seen, open_dataset(folder, "other")


def test_changed_copies_are_found_and_new_images_are_not(sets):
    seen, other = sets
    plain = find_overlap(seen, other, ["test"])
    assert plain.matches == ()
    found = add_look_alikes(plain, seen, other, ["test"])
    assert {match.image_id for match in found.matches} >= {
        f"{split}-{how}-{i}" for split in ("train", "validation") for i, how in enumerate([*CHANGES, *CHANGES])
    }
    assert not [match for match in found.matches if match.image_id.startswith("new")]
    for match in found.matches:
        split, _, i = match.image_id.split("-")
        if split in ("train", "validation") and match.how == "copy":
            assert (match.split, match.seen_as) == (split, seen.rows[split][int(i)].image_id)


def test_what_is_known_already_is_kept_and_not_looked_at_again(sets):
    seen, _ = sets
    plain = find_overlap(seen, seen, ["train"])
    assert add_look_alikes(plain, seen, seen, ["train"]) is plain
