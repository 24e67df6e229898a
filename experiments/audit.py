"""Is the dataset fit to judge a model by? Looks for leaks, shortcuts and duplicates; reads only.

python -m experiments.audit --dataset=NAME
python -m experiments.audit --source=DIR

A leak: a held-out image, or another picture of its lesion, lies in another split. A shortcut: the class can be told
without the lesion. A duplicate within one split is harmless. Exit status 3 where something leaks.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from experiments import cli
from experiments.choices import define_choice_flags, given_choices
from experiments.photographs import warn_of_photographs
from mole_jax.data.source.layouts import LAYOUTS
from mole_jax.errors import UserError

if TYPE_CHECKING:
    from mole_jax.audit.collection import Collection

FLAGS = flags.FLAGS
LEAKY = 3


def command() -> int:
    """Audits, prints the table and writes the page, audit.json and two CSV files."""
    from mole_jax.audit.audit import audit
    from mole_jax.audit.files import refuse_foreign_folder, write_files
    from mole_jax.audit.table import format_audit
    from mole_jax.report.audit_page import write_audit_page
    from mole_jax.report.files import refuse_foreign_page

    collection = _collection()
    out = Path(FLAGS.out or f"audits/{collection.name}").expanduser()
    refuse_foreign_folder(out)  # before minutes of work
    refuse_foreign_page(out / "audit.html")
    found = audit(collection, _originals(FLAGS.originals) if FLAGS.originals else None)
    print(format_audit(found.result))
    write_files(found, out)
    page = write_audit_page(found.result, out / "audit.html", lambda i: collection.load(found.places[i]).image)
    print(f"\nPictures of the worst pairs: {page}")
    warn_of_photographs(page)
    print(f"Everything that was found: audit.json, near_duplicates.csv and copies.csv in {out}")
    return LEAKY if found.leaky and not FLAGS.allow_leaky else 0


def _collection() -> "Collection":
    from mole_jax.audit.collection import of_dataset, of_source

    if (FLAGS.dataset is None) == (FLAGS.source is None):
        raise UserError("give either --dataset=NAME, a prepared dataset, or --source=DIR, a folder of images")
    if FLAGS.dataset is not None:
        return of_dataset(_data_dir(), FLAGS.dataset)
    return of_source(Path(FLAGS.source).expanduser(), FLAGS.layout, given_choices())


def _originals(given: str) -> "Collection":
    """The originals: a folder, or else a prepared dataset."""
    from mole_jax.audit.collection import of_dataset, of_source

    folder = Path(given).expanduser()
    return of_source(folder) if folder.is_dir() else of_dataset(_data_dir(), given)


def _data_dir() -> Path:
    return Path(FLAGS.data_dir).expanduser()


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_string("dataset", None, "a prepared dataset")
    flags.DEFINE_string(
        "source", None, "a folder of images, or an .npz archive; audited with its own splits where it has some"
    )
    flags.DEFINE_enum("layout", "auto", ["auto", *LAYOUTS], "how the source is laid out; auto recognises it")
    define_choice_flags()
    flags.DEFINE_string("originals", None, "where the originals of augmented copies may be: a dataset or a folder")
    flags.DEFINE_string("data_dir", "data", "where prepared datasets lie")
    flags.DEFINE_string("out", None, "folder for audit.html, audit.json and CSV files (default: audits/NAME)")
    flags.DEFINE_bool("allow_leaky", False, "exit with status 0 even if something leaks")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__ or "")
