import shutil

from PIL import Image

from mole_jax.audit.audit import audit
from mole_jax.audit.collection import of_source
from mole_jax.data.image_file import load_image
from mole_jax.data.prepare.copies import apply_affine, draw_affine


def test_the_sharpest_is_the_original_or_none_is_named(tmp_path, test_data):
    """Ten melanomas with three copies each, and ten of which only copies are there."""
    for folder in ("Melanoma", "NotMelanoma"):
        (tmp_path / folder).mkdir()
    paths = sorted((test_data / "data" / "ham10000_256" / "Melanoma").iterdir())[:60:3]
    for i, path in enumerate(paths):
        original = load_image(path).image
        if i < 10:
            Image.fromarray(original).save(tmp_path / "Melanoma" / f"{path.stem}.png")
        for k in (1, 2, 3):
            copy = apply_affine(original, draw_affine(0, path.stem, k))
            Image.fromarray(copy).save(tmp_path / "Melanoma" / f"{path.stem}_copy_{k}.png")
    shutil.copy(next((test_data / "data" / "ham10000_256" / "NotMelanoma").iterdir()), tmp_path / "NotMelanoma")
    found = audit(of_source(tmp_path))
    named = {found.members[of_one.images[0]].image_id[:12]: of_one.original for of_one in found.copies}
    assert len(named) == 20
    right = sum(named[path.stem] == path.stem for path in paths[:10])
    wrong = sum(name not in ("", stem) for stem, name in named.items())
    assert right >= 5
    assert wrong <= 1
