"""How many images a second does `prepare` decode, crop, resize and write?

Fair: Pillow alone on one core does the same to the same files: decodes, crops to the central square, resizes to 224x224
by the same filter, and writes the pixels to one file. This project also lists and hashes the files, splits them by
lesion, checks for leaks, computes the training set's moments and fingerprint, and writes records that TFDS reads; its
time includes starting its worker processes. The files lie in the page cache.
"""

import shutil
import time
from pathlib import Path

from benchmarks.harness import Contestant
from benchmarks.images import write_folder
from benchmarks.networks import IMAGE_SIZE
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.turn import Turn

PILLOW = "Pillow on one core"


def question(setting: Setting) -> Question:
    """The question."""
    images = 500 if setting.quick else 4000
    folder = write_folder(setting, images)
    measure = Measure("rate", f"prepare, {setting.machine.cores} cores", "images/s")
    common = {"folder": str(folder)}
    return Question(
        "How many images a second does `prepare` decode, crop, resize and write?",
        [
            Contestant(OURS, "benchmarks.preparing:ours", common | {"work": str(setting.work / "preparing")}),
            Contestant(PILLOW, "benchmarks.preparing:pillow", common | {"to": str(setting.work / "pillow.raw")}),
        ],
        [measure],
        [Ratio(measure, (PILLOW,), PILLOW, 1.8)],
        note=f"{images} JPEGs.",
    )


def ours(*, folder: str, work: str) -> Turn:
    """`prepare`, with a process a core."""
    from mole_jax.data.prepare.prepare import prepare

    def turn() -> dict[str, float]:
        shutil.rmtree(work, ignore_errors=True)
        began = time.perf_counter()
        summary = prepare("preparing", Path(folder), data_dir=Path(work))
        return {"rate": summary.facts.images / (time.perf_counter() - began)}

    return turn


def pillow(*, folder: str, to: str) -> Turn:
    """One loop with Pillow."""
    from PIL import Image

    paths = sorted(Path(folder).rglob("*.jpg"))

    def turn() -> dict[str, float]:
        began = time.perf_counter()
        with Path(to).open("wb") as file:
            for path in paths:
                with Image.open(path) as image:
                    rgb = image.convert("RGB")
                side = min(rgb.size)
                left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
                square = rgb.crop((left, top, left + side, top + side))
                file.write(square.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC).tobytes())
        return {"rate": len(paths) / (time.perf_counter() - began)}

    return turn
