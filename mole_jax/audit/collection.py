"""What is audited: a prepared dataset, or the files of a source as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mole_jax.audit.file_facts import Facts, facts_of_file, facts_of_row
from mole_jax.data.dataset import Dataset, open_dataset
from mole_jax.data.image_file import LoadedImage
from mole_jax.data.manifest import ManifestRow, printable
from mole_jax.data.records import Record, Split
from mole_jax.data.source.choices import NO_CHOICES, Choices
from mole_jax.data.source.listing import list_candidates, loader


@dataclass(frozen=True)
class Member:
    """One image under audit.

    Attributes:
        image_id: the file's name without its ending; several files of a source may share it.
        lesion_id: the lesion that the image shows; the image's own id where the lesion is unknown.
        label: 0 mole, 1 melanoma.
        split: the split that it lies in; None where there are no splits.
        path: path of the file it is from, for people.
        augmented_from: the image_id of its original according to the manifest, "" for none; only compared with what
            was found.
        patient_id: the patient whose lesion it is, "" if unknown.
    """

    image_id: str
    lesion_id: str
    label: int
    split: Split | None
    path: str
    augmented_from: str = ""
    patient_id: str = ""


@dataclass(frozen=True)
class Collection:
    """The images under audit.

    Attributes:
        name: its name, for people.
        members: what is known of each image, in their order.
        load: gives the pixels of member i; called from several threads at once; raises UnusableImageError.
        facts: gives what the file of member i tells without its pixels.
        from_files: whether `facts` sees the files; a prepared dataset keeps only their names and sizes in pixels.
        photographed: whether they are photographs; False for drawn lesions.
    """

    name: str
    members: list[Member]
    load: Callable[[int], LoadedImage]
    facts: Callable[[int], Facts]
    from_files: bool
    photographed: bool = True

    def __len__(self) -> int:
        return len(self.members)


def of_dataset(data_dir: Path, name: str) -> Collection:
    """The images of a prepared dataset.

    Raises:
        UserError: it has not been prepared, or is damaged.
    """
    dataset = open_dataset(data_dir, name)
    rows = [row for of_split in dataset.rows.values() for row in of_split]
    members = [_of_row(row) for row in rows]
    return Collection(
        name,
        members,
        _loader(dataset, rows),
        lambda i: facts_of_row(rows[i]),
        from_files=False,
        photographed=dataset.facts.layout != "synthetic",
    )


def of_source(source: Path, layout: str = "auto", choices: Choices = NO_CHOICES) -> Collection:
    """The images of a source, with its own splits where it has some.

    Unlike `prepare`, keeps images that share an id: they are what the audit looks for.

    Args:
        source: the folder.
        layout: a key of LAYOUTS, or "auto" to recognise it.
        choices: what the user says of the source.

    Raises:
        UserError: no such folder, or no known layout.
    """
    _, tree, candidates = list_candidates(source, layout, choices)
    records, load = candidates.records, loader(source)
    return Collection(
        source.name or str(source),
        [_of_record(record) for record in records],
        lambda i: load(records[i]),
        lambda i: facts_of_file(tree.root / records[i].source_path),
        from_files=not candidates.inside,
    )


def _loader(dataset: Dataset, rows: list[ManifestRow]) -> Callable[[int], LoadedImage]:
    places = [(split, index) for split, of_split in dataset.rows.items() for index in range(len(of_split))]

    def load(i: int) -> LoadedImage:
        split, index = places[i]
        image = dataset.splits[split][index]["image"]
        return LoadedImage(image, rows[i].sha256, rows[i].width, rows[i].height)

    return load


def _of_row(row: ManifestRow) -> Member:
    return Member(
        row.image_id, row.lesion_id, row.label, row.split, row.source_path, row.augmented_from, row.patient_id
    )


def _of_record(record: Record) -> Member:
    path = printable(record.source_path)
    return Member(
        record.image_id, record.lesion_id, record.label, record.given_split, path, patient_id=record.patient_id
    )
