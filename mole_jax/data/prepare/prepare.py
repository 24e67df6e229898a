"""From source images to a prepared dataset: list, choose, decode, split, write; all or nothing."""

import dataclasses
import functools
import time
from dataclasses import dataclass
from pathlib import Path

from mole_jax.data.facts import DatasetFacts, read_facts
from mole_jax.data.prepare.build import Settings, build
from mole_jax.data.prepare.decode import Load
from mole_jax.data.prepare.looks import ByLooks
from mole_jax.data.prepare.masks import with_masks
from mole_jax.data.prepare.protocols import choose_protocol
from mole_jax.data.prepare.unchanged import what_changed
from mole_jax.data.source.choices import NO_CHOICES, Choices
from mole_jax.data.source.layouts import LAYOUTS
from mole_jax.data.source.listing import Listing, list_source, loader
from mole_jax.data.source.synthetic import DEFAULT_EXAMPLES, list_synthetic, load_synthetic
from mole_jax.data.versions import AGAIN, DATASET, check_name, following, newest, remove_older
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.folder import new_folder, publish
from mole_jax.files.lock import exclusive
from mole_jax.files.sums import verify
from mole_jax.workers import cores


@dataclass(frozen=True)
class PrepareSummary:
    """The outcome of `prepare`.

    Attributes:
        directory: where the dataset lies, data_dir/<name>/<version>.
        facts: the dataset's facts: counts, protocol, leaks.
        seconds: how long it took, in seconds.
        already_prepared: whether nothing was done because the same dataset was there.
        notes: what people should know of how the source was read, each a sentence.
    """

    directory: Path
    facts: DatasetFacts
    seconds: float
    already_prepared: bool
    notes: tuple[str, ...] = ()


def prepare(
    name: str,
    source: Path | None = None,
    *,
    layout: str = "auto",
    protocol: str = "auto",
    examples: int = 0,
    data_dir: Path = Path("data"),
    seed: int = 0,
    workers: int | None = None,
    overwrite: bool = False,
    choices: Choices = NO_CHOICES,
    group_by_looks: ByLooks = "auto",
    masks: Path | None = None,
) -> PrepareSummary:
    """Prepares a dataset under data_dir/<name>/<version>.

    It is written beside its place and moved there when complete. A version never changes: `overwrite` makes the next
    one, and the one before is removed as soon as nobody reads it. The same source, settings and library versions give
    the same bytes, whatever the number of workers.

    Args:
        name: name of the dataset: lower-case letters, digits and underscores.
        source: the folder of images, or an .npz archive; None for the synthetic layout, which has none.
        layout: a key of LAYOUTS, "synthetic", or "auto" to recognise it (without a source, "synthetic" for that name).
        protocol: a key of PROTOCOLS, or "auto" for the layout's own.
        examples: how many images to choose at random, half of each class; 0: all (600 for synthetic).
        data_dir: where prepared datasets lie.
        seed: decides the split, the choice of examples and the drawn images.
        workers: number of processes that decode; None: one a core.
        overwrite: whether to replace a dataset of that name.
        choices: what the user says of the source: its table, its class folders, which diagnoses are melanoma.
        group_by_looks: "on" to look for images that show one lesion and keep them together; "auto" where the source
            names neither lesions nor patients.
        masks: the folder of the images' lesion masks, which become a part of each record; images without a usable one
            are quarantined. None: no masks.

    Raises:
        UserError: a setting is wrong, the source is unusable, the disk is full, or another dataset of that name is
            there, or a damaged one.
    """
    started = time.monotonic()
    check_arguments(name, source, layout, examples, seed, workers, data_dir)
    if source is None:
        examples = examples or DEFAULT_EXAMPLES
    listing, load = _list(source, layout, examples, seed, choices)
    masks_fingerprint = ""
    if masks is not None:
        if listing.layout in ("synthetic", "npz"):
            raise UserError(
                f"masks are for images that are files, and the layout {listing.layout} has none; drop --masks"
            )
        listing, load, masks_fingerprint = with_masks(listing, load, masks)
    splits = {record.given_split for record in listing.records} - {None}
    protocol = choose_protocol(protocol, listing.layout, has_splits=bool(splits))
    notes = listing.notes
    if protocol == "given" and splits == {"train", "test"}:
        notes += ("the source has no validation split: a quarter of training became it, by whole lesions and patients",)
    by_looks = group_by_looks == "on" or (group_by_looks == "auto" and not listing.grouped)
    settings = Settings(listing.layout, protocol, seed, examples, listing.fingerprint, by_looks, masks_fingerprint)
    home, otherwise = data_dir / name, "give another --dataset name, or another --data_dir"
    with exclusive(
        home,
        busy=f"another process is preparing {str(home)!r}; wait for it or give another --dataset name",
        otherwise="give another --data_dir",
    ):
        there = newest(home)
        if there is not None and not overwrite:
            facts = _same_or_refuse(there, settings, listing, load)
            return PrepareSummary(there, facts, time.monotonic() - started, True, notes)
        final = following(home)
        remedy = "make room, or give another --data_dir; what was there before is untouched"
        with new_folder(final, DATASET, otherwise=otherwise) as folder, full_disk_explained(folder, remedy):
            facts = build(folder, name, listing, load, settings, version=final.name, workers=workers or cores())
            publish(folder, final, DATASET)
        notes += tuple(remove_older(home))
    return PrepareSummary(final, facts, time.monotonic() - started, False, notes)


def check_arguments(
    name: str, source: Path | None, layout: str, examples: int, seed: int, workers: int | None, data_dir: Path
) -> None:
    """Raises UserError where these arguments of `prepare` are wrong whatever the source holds."""
    check_name(name)
    if layout not in ("auto", "synthetic", *LAYOUTS):
        raise UserError(f"layout {layout!r} is not one of auto, {', '.join(LAYOUTS)}, synthetic")
    if name == "synthetic" and source is not None:
        raise UserError(
            "the name synthetic is kept for drawn images, which have no source; give another --dataset name"
        )
    if layout == "synthetic" and source is not None:
        raise UserError("the layout synthetic draws its images and takes no source")
    if source is None and layout != "synthetic" and name != "synthetic":
        raise UserError(
            f"dataset {name!r} needs a source; give --source=DIR, the folder that the images were unpacked into"
        )
    if source is not None and data_dir.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"data_dir {str(data_dir)!r} lies inside the source {str(source)!r}, which would become its own input"
        )
    if source is not None and source.resolve().is_relative_to((data_dir / name).resolve()):
        raise UserError(
            f"the source {str(source)!r} lies inside {str(data_dir / name)!r}, where the dataset goes; give another "
            "--dataset name, or another --data_dir"
        )
    if examples < 0 or examples % 2:
        raise UserError(f"examples={examples} is not an even number; it is shared between two classes")
    if seed < 0:
        raise UserError(f"seed={seed} is negative")
    if workers is not None and workers < 1:
        raise UserError(f"workers={workers} is too small; the smallest is 1")


def _list(source: Path | None, layout: str, examples: int, seed: int, choices: Choices) -> tuple[Listing, Load]:
    if source is None:
        return list_synthetic(examples, seed), functools.partial(load_synthetic, seed)
    return list_source(source, layout, choices), loader(source)


def _same_or_refuse(final: Path, settings: Settings, listing: Listing, load: Load) -> DatasetFacts:
    verify(final, DATASET, again=AGAIN)
    facts = read_facts(final)
    differences = [
        (key, getattr(facts, key), asked)
        for key, asked in dataclasses.asdict(settings).items()
        if getattr(facts, key) != asked
    ]
    if not differences:
        changed = what_changed(final, facts, listing, load)
        difference = f"under other rules: {changed}" if changed else ""
    else:
        key, there, asked = differences[0]
        difference = {
            "source_fingerprint": "from another source or with other choices",
            "masks": "with other lesion masks, or with and without them (--masks)",
            "by_looks": f"with{'' if there else 'out'} a search for lesions by their looks (--group_by_looks)",
        }.get(key, f"with {key}={there}, not {asked}")
    if difference:
        raise UserError(f"{final} was prepared {difference}; give --overwrite to replace it, or another --dataset name")
    return facts
