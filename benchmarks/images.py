"""Folders of JPEGs for the questions that begin on disk, and datasets prepared from them.

`folder` is the build of a worker (see `benchmarks.worker`), so that the process that measures stays small.
"""

import functools
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.commands import run
from benchmarks.harness import run_once
from benchmarks.question import Setting
from benchmarks.turn import Turn

CLASSES: Final = ("NotMelanoma", "Melanoma")
# Not 224, so that drawn images are resized as photographs are.
DRAWN_SIDE: Final = 256
DRAWN_IMAGES: Final = 32  # different ones a class


def write_folder(setting: Setting, count: int, *, splits: bool = False) -> Path:
    """Writes so many JPEGs below the setting's work folder, where they are not there yet; see `folder`."""
    to = setting.work / f"jpegs_{count}{'_in_splits' if splits else ''}"
    if not to.exists():
        source = None if setting.source is None else str(setting.source)
        run_once(
            "benchmarks.images:folder",
            logs=setting.work / "logs",
            source=source,
            to=str(to),
            count=count,
            splits=splits,
        )
    return to


def prepare_dataset(setting: Setting, source: Path, name: str) -> Path:
    """Prepares `source` below the setting's work folder, where that has not been done, and gives the data_dir."""
    data_dir = setting.work / "data"
    run("experiments.prepare", f"--dataset={name}", f"--source={source}", f"--data_dir={data_dir}")
    return data_dir


def folder(*, source: str | None, to: str, count: int, splits: bool) -> Turn:
    """Writes `count` JPEGs, half of each class, to `to`/Melanoma and `to`/NotMelanoma.

    Args:
        source: a folder with Melanoma/ and NotMelanoma/; where it has too few, they repeat under other names. None
            draws some synthetic lesions and repeats them.
        to: a folder that is not there.
        count: of images; even.
        splits: puts them into `to`/train_sep/..., and two of each class into valid/ and test/: as many as a prepared
            dataset needs.
    """
    places = [("train_sep", count // 2), ("valid", 2), ("test", 2)] if splits else [("", count // 2)]

    def turn() -> dict[str, float]:
        for label, name in enumerate(CLASSES):
            originals = itertools.cycle(_drawn(label) if source is None else _real(Path(source) / name))
            for place, of_class in places:
                into = Path(to) / place / name
                into.mkdir(parents=True)
                for number in range(of_class):
                    (into / f"{place}{label}_{number:06d}.jpg").write_bytes(next(originals)())
        return {}

    return turn


def _real(of_class: Path) -> Sequence[Callable[[], bytes]]:
    paths = sorted(path for path in of_class.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    assert paths, f"{of_class} holds no JPEG"
    return [path.read_bytes for path in paths]


def _drawn(label: int) -> Sequence[Callable[[], bytes]]:
    return [functools.partial(bytes, jpeg) for jpeg in itertools.islice(_draw(label), DRAWN_IMAGES)]


def _draw(label: int) -> Iterator[bytes]:
    from PIL import Image

    from mole_jax.data.source.synthetic import list_synthetic, load_synthetic

    for record in list_synthetic(4 * DRAWN_IMAGES, seed=0).records:
        if record.label == label:
            image = Image.fromarray(load_synthetic(0, record).image)
            file = io.BytesIO()
            image.resize((DRAWN_SIDE, DRAWN_SIDE), Image.Resampling.BICUBIC).save(file, "jpeg", quality=90)
            yield file.getvalue()
