"""What a layout makes of the files of a source."""

from dataclasses import dataclass

from mole_jax.data.records import Quarantined, Record


@dataclass(frozen=True)
class Candidates:
    """What a layout makes of a tree's files.

    Attributes:
        records: the files that may become examples; image_ids may still repeat.
        quarantined: the files that may not, each with its reason.
        without_image: the rows of the metadata table that have no image.
        tables: paths of the metadata tables, which are neither records nor quarantined.
        notes: what people should know of how the source was read, each a sentence.
        one_image_an_id: whether a table says that files of one name are one image; else their bytes say.
        inside: how many of the images lie within one of `tables`, and are no files of their own.
        leak: why scores on any split of these images would flatter, in one phrase; "" if that is not known.
    """

    records: list[Record]
    quarantined: list[Quarantined]
    without_image: list[Quarantined]
    tables: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    one_image_an_id: bool = False
    inside: int = 0
    leak: str = ""
