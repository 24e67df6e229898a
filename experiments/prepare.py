"""python -m experiments.prepare: source images -> a dataset that every other command reads."""

from pathlib import Path
from typing import Any

from absl import flags

from experiments import cli
from experiments.choices import define_choice_flags, given_choices
from experiments.sources import FETCHED, downloads_folder, fetch_source
from mole_jax.data.download.official import OFFICIAL
from mole_jax.data.facts import DatasetFacts
from mole_jax.data.prepare.looks import BY_LOOKS
from mole_jax.data.prepare.prepare import PrepareSummary, check_arguments, prepare
from mole_jax.data.prepare.protocols import PROTOCOLS
from mole_jax.data.source.layouts import LAYOUTS
from mole_jax.errors import UserError

DESCRIPTION = """Prepares a dataset: decodes, crops and splits the images of a source, once.

  python -m experiments.prepare --dataset=synthetic                   drawn lesions, needs no source
  python -m experiments.prepare --dataset=ham10000 --source=dataverse --accept_licence    HAM10000, fetched (3 GB)
  python -m experiments.prepare --dataset=ham10000 --source=DIR       HAM10000 as downloaded, lesions kept together
  python -m experiments.prepare --dataset=kaggle --source=DIR         train_sep, valid, test / Melanoma, NotMelanoma
  python -m experiments.prepare --dataset=mine --source=DIR --table=FILE --id=COLUMN --label=COLUMN --group=COLUMN
                                                                      any folder of images with a table
  python -m experiments.prepare --dataset=mine --source=DIR --classes="malignant=1,benign=0"     folders of any name
  python -m experiments.prepare --dataset=mine --source=DIR --masks=DIR          with lesion masks
  python -m experiments.prepare --dataset=paper --source=DIR --protocol=paper    the paper's set rebuilt, copies and all
"""

PUBLISHED = "published"
DATASET = flags.DEFINE_string("dataset", None, "the name to prepare it under; 'synthetic' needs no source")
SOURCE = flags.DEFINE_string(
    "source",
    None,
    "the folder that the images were unpacked into, or an .npz archive of MedMNIST; or one of "
    f"{', '.join(FETCHED)}: fetched from its publisher into DATA_DIR/_downloads",
)
ACCEPT_LICENCE = flags.DEFINE_bool("accept_licence", False, "accept the licence of a source that is fetched")
LAYOUT = flags.DEFINE_enum(
    "layout", "auto", ["auto", *LAYOUTS, "synthetic"], "how the source is laid out; auto recognises it"
)
PROTOCOL = flags.DEFINE_enum(
    "protocol",
    "auto",
    ["auto", *PROTOCOLS],
    "who goes into which split; auto: given where the source has splits, else grouped",
)
EXAMPLES = flags.DEFINE_integer("examples", 0, "so many images at random, half of each class; 0: all (synthetic: 600)")
define_choice_flags()
GROUP_BY_LOOKS = flags.DEFINE_enum(
    "group_by_looks",
    "auto",
    list(BY_LOOKS),
    "look for images that show one lesion, and keep them together; auto: where the source names neither lesions nor "
    "patients; 10,000 images take minutes",
)
MASKS = flags.DEFINE_string(
    "masks",
    None,
    "the folder of the images' lesion masks, white where the lesion is, called as their images with or without "
    f"_segmentation or _mask; {PUBLISHED}: those that come with --source=dataverse",
)
DATA_DIR = flags.DEFINE_string("data_dir", "data", "where prepared datasets lie")
SEED = flags.DEFINE_integer("seed", 0, "of the split, of the choice of examples and of drawn images")
WORKERS = flags.DEFINE_integer("workers", None, "processes that decode; default: one a core")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "replace a dataset of that name")


def command() -> None:
    """Prepares the dataset and says what came of it."""
    if DATASET.value is None:
        raise UserError("give --dataset=NAME, the name to prepare it under; --dataset=synthetic needs no source")
    data_dir = Path(DATA_DIR.value).expanduser()
    fetched = SOURCE.value in FETCHED
    source = downloads_folder(SOURCE.value, data_dir) if fetched else _own_folder()
    settings: dict[str, Any] = {
        "layout": LAYOUT.value,
        "examples": EXAMPLES.value,
        "data_dir": data_dir,
        "seed": SEED.value,
        "workers": WORKERS.value,
    }
    by_looks: Any = GROUP_BY_LOOKS.value
    choices = given_choices()
    check_arguments(DATASET.value, source, **settings)  # before anything is fetched
    protocol = PROTOCOL.value
    masks = _masks(data_dir)
    if fetched:
        source = fetch_source(SOURCE.value, data_dir, licence_accepted=ACCEPT_LICENCE.value)
        if protocol == "auto" and SOURCE.value in OFFICIAL:
            protocol = OFFICIAL[SOURCE.value].protocol
    summary = prepare(
        DATASET.value,
        source,
        protocol=protocol,
        overwrite=OVERWRITE.value,
        choices=choices,
        group_by_looks=by_looks,
        masks=masks,
        **settings,
    )
    print(describe(summary))
    if "train" in summary.facts.splits:
        print(f"train on it: python -m experiments.run --model=cnn --dataset={summary.facts.name}")
    else:
        print(f"judge a run on it: python -m experiments.evaluate --run=runs/NAME --dataset={summary.facts.name}")


def _own_folder() -> Path | None:
    return None if SOURCE.value is None else Path(SOURCE.value).expanduser()


def _masks(data_dir: Path) -> Path | None:
    if MASKS.value != PUBLISHED:
        return None if MASKS.value is None else Path(MASKS.value).expanduser()
    from mole_jax.data.download.obtain import place

    official = OFFICIAL.get(SOURCE.value)
    beside = [file for file in official.files if not file.of_source] if official else []
    if not beside:
        raise UserError(
            f"--masks={PUBLISHED} are HAM10000's, which come with --source=dataverse; give --masks=DIR for others"
        )
    return downloads_folder(SOURCE.value, data_dir) / place(beside[0])


def describe(summary: PrepareSummary) -> str:
    """The summary in a few lines for people."""
    facts = summary.facts
    counts = "\n".join(
        f"  {split:<11}{moles:>7,} moles {melanomas:>7,} melanomas"
        for split, (moles, melanomas) in facts.counts.items()
    )
    left_out = f" + {facts.left_out:,} left out by the protocol" if facts.left_out else ""
    lines = [
        f"{facts.name}: layout {facts.layout}; protocol {facts.protocol}, {PROTOCOLS[facts.protocol].description}",
        counts,
        f"  {facts.files:,} files = {facts.images - facts.copies:,} prepared + {facts.quarantined:,} quarantined"
        f" + {facts.not_selected:,} not selected{left_out}",
    ]
    lines += [f"  {note}" for note in summary.notes]
    if facts.masks:
        lines.append("  each image has its lesion mask")
    if facts.by_looks:
        lines.append(f"  {_by_looks(facts)}")
    if facts.copies:
        lines.append(f"  {facts.copies:,} augmented copies were made beside the {facts.images - facts.copies:,}")
    if facts.quarantined or facts.without_image:
        rows = f", {facts.without_image:,} metadata rows without an image" if facts.without_image else ""
        lines.append(f"  why: {summary.directory / 'quarantine.csv'}{rows}")
    if facts.leaky:
        lines.append(f"  LEAKY: {facts.leak}; scores on it will flatter")
    if facts.layout == "synthetic":
        lines.append("  drawn, not photographed: good for trying things out, never for a claim")
    if summary.already_prepared:
        lines.append(f"{summary.directory} was already prepared like this; nothing to do")
    else:
        lines.append(f"{summary.directory} in {summary.seconds:.1f} s, {facts.images / summary.seconds:,.0f} images/s")
    return "\n".join(lines)


def _by_looks(facts: DatasetFacts) -> str:
    small = f"; {facts.small_for_looks:,} are too small to tell by their looks" if facts.small_for_looks else ""
    if not facts.joined_by_looks:
        return f"no two images show one lesion by their looks{small}"
    return (
        f"{facts.joined_by_looks:,} images show a lesion that another image shows too, by their looks; they are kept "
        f"together (looks tell about 7 of 10 such pairs, ids tell all){small}"
    )


if __name__ == "__main__":
    cli.main(command, description=DESCRIPTION)
