"""Why a source has no known layout: the tables and folders that were seen, what each lacks, and what would work."""

import itertools
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from mole_jax.data.source.choices import Choices
from mole_jax.data.source.folders import ClassFolders
from mole_jax.data.source.npz import ENDING, KEYS
from mole_jax.data.source.table_files import GROUP_COLUMNS, ID_COLUMNS, OTHER_TABLES, has_header, tables_seen
from mole_jax.data.source.tables import column_names, read_table
from mole_jax.data.source.tree import Tree
from mole_jax.errors import UserError
from mole_jax.vocabulary.identity import match_ids
from mole_jax.vocabulary.words import SPLIT_WORDS, plain

# Columns that public sets keep a diagnosis in, in lower case, the best first.
LABEL_COLUMNS: Final = ("dx", "diagnosis_3", "target", "melanoma", "diagnosis", "diagnostic", "label", "diagnosis_1")
# Values that mean melanoma in a column that says yes or no of it, as `words.plain` writes them; where malignant is one,
# the sentence says that it is more than melanoma.
YES: Final = ("1", "1 0", "true", "yes", "malignant")
SHOWN: Final = 3
FOLDERS: Final = 12
ROWS: Final = 200


def refusal(tree: Tree, choices: Choices) -> str:
    """The sentence, from its second part on."""
    if len(tree.files) == 1 and tree.files[0].lower().endswith(ENDING):
        return (
            f"{tree.files[0]} is no archive with the arrays {', '.join(KEYS)}, as MedMNIST has them: download it again"
        )
    said = (
        f"{len(tree.files)} files, but no HAM10000_metadata table, no ISIC 2018 ground truth and no folders Melanoma "
        "and NotMelanoma (optionally below train_sep, valid, test)"
    )
    if choices.classes:
        wanted = ", ".join(name for name, _ in choices.classes)
        said = f"{len(tree.files)} files, and none in a folder {wanted}"
    tables = [_of_table(tree, path, choices) for path in tables_seen(tree)[:SHOWN]]
    folders, classes = _of_folders(tree, choices)
    sheets = [path for path in tree.files if PurePosixPath(path).suffix.lower() in OTHER_TABLES][:SHOWN]
    seen = [*(text for text, _ in tables), *folders]
    ways = [*(flags for _, flags in tables), *classes]
    if sheets:
        seen.append(f"{', '.join(sheets)}, which is not read: save it as CSV")
    text = said + (f"; seen: {'; '.join(seen)}" if seen else "")
    return text + (f"; give {', or '.join(ways)}" if ways else "; give --table=FILE --id=COLUMN --label=COLUMN")


def _of_table(tree: Tree, path: str, choices: Choices) -> tuple[str, str]:
    """What is seen of a table, and the flags that read it."""
    names = [name for name in column_names(tree.root / path) if name]
    header = has_header(tree, path)
    columns = names if header else [str(i + 1) for i in range(len(names))]
    values = _columns(tree, path, columns)
    by_name = {name.casefold(): name for name in columns}
    key = next((by_name[name] for name in ID_COLUMNS if name in by_name), "") or _column_of_ids(tree, path, values)
    label = next((by_name[name] for name in LABEL_COLUMNS if name in by_name), "") or next(
        (name for name in columns if name != key and _tells(values[name], choices)), ""
    )
    groups = ",".join(by_name[name] for name in GROUP_COLUMNS if name in by_name)
    lacks = [] if key else ["no column that has the names of the images"]
    lacks += [] if label else ["no column that is known to have diagnoses"]
    head = (
        f"the columns {', '.join(names)[:200]}" if header else f"no header and the first line {', '.join(names)[:200]}"
    )
    text = f"the table {path} with {head}" + (f", and {' and '.join(lacks)}" if lacks else "")
    yes = next((value for value in dict.fromkeys(values.get(label, [])) if plain(value) in YES), "")
    more = " (malignant is more than melanoma)" if plain(yes) == "malignant" else ""
    flags = f'--table="{path}" --id={key or "COLUMN"} --label={label or "COLUMN"}'
    return text, flags + (f" --positive={yes}" if yes else "") + (f" --group={groups}" if groups else "") + more


def _columns(tree: Tree, path: str, columns: Sequence[str]) -> dict[str, list[str]]:
    """The first values of each column; none where the table is broken."""
    try:
        rows = read_table(tree.root / path, required=columns, key=columns[0]).rows.values()
    except UserError:
        return {name: [] for name in columns}
    first = list(itertools.islice(rows, ROWS))
    return {name: [row[name] for row in first] for name in columns}


def _column_of_ids(tree: Tree, path: str, values: dict[str, list[str]]) -> str:
    """The column of which most values are names of files; "" for none."""
    files = [one for one in tree.files if one != path]
    hits = {name: len(match_ids(files, filter(None, column))[0]) for name, column in values.items()}
    best = max(hits, key=lambda name: hits[name], default="")
    return best if hits.get(best) else ""


def _tells(values: Sequence[str], choices: Choices) -> bool:
    """Whether a column's values are diagnoses, or say yes and no."""
    kinds = set(values)
    if not kinds or len(kinds) > len(values) // 2 + 1:
        return False
    return all(choices.decisions.decides(value) for value in kinds) or (
        len(kinds) == 2 and any(plain(value) in YES for value in kinds)
    )


def _of_folders(tree: Tree, choices: Choices) -> tuple[list[str], list[str]]:
    """What is seen of the folders, and the flag that reads them as classes."""
    folders = {
        name: n for name, n in ClassFolders(tree.files, choices).seen.most_common() if plain(name) not in SPLIT_WORDS
    }
    if not folders:
        return [], []
    listed = list(folders)[:FOLDERS]
    seen = f"the folders {', '.join(f'{name} ({folders[name]:,} files)' for name in listed)}"
    if len(folders) < 2:
        return [seen], []
    melanoma = [name for name in listed if plain(name) in ("malignant", "mel", "melanoma", "1")]
    classes = ",".join(f"{name}={int(name in melanoma) if melanoma else '?'}" for name in listed)
    more = " (malignant is more than melanoma)" if "malignant" in map(plain, listed) else ""
    return [seen], [f'--classes="{classes}", with 1 for melanoma{more}']
