"""Which column of a table is the image, the label, the score: by name, in any case, or as the user says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mole_jax.errors import UserError
from mole_jax.vocabulary.words import plain

# Role -> the names that it is known by, as `words.plain` writes them, the surest first.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "image_id": (
        *("image id", "isic id", "image name", "image", "img id", "img", "image file", "file name", "filename", "file"),
        *("image path", "img path", "file path", "filepath", "path", "fname", "name", "id"),
    ),
    "label": (
        *(
            "label",
            "y true",
            "ytrue",
            "target",
            "true label",
            "ground truth",
            "groundtruth",
            "truth",
            "gt",
            "y",
            "true",
        ),
        *("actual", "labels", "targets", "is melanoma", "benign malignant", "diagnosis", "dx", "diagnosis 1"),
    ),
    "score": (
        *(
            "score",
            "y prob",
            "y score",
            "y proba",
            "prob 1",
            "prob1",
            "proba 1",
            "p 1",
            "prob",
            "proba",
            "probability",
            "probs",
        ),
        *("pred prob", "pred proba", "y pred proba", "y pred prob", "pred score", "prediction score", "scores"),
        *("prob mel", "p mel", "mel prob", "mel probability", "prob melanoma", "p melanoma", "melanoma prob"),
        *("melanoma probability", "probability melanoma", "melanoma score", "mel score", "mel", "melanoma", "risk"),
        *("y pred", "pred", "prediction", "predicted", "predictions", "y hat", "yhat", "output"),
    ),
    "logit": ("logit", "logits"),
    "lesion_id": ("lesion id", "lesion"),
    "patient_id": ("patient id", "patient", "subject id"),
    "age": ("age", "age approx"),
    "sex": ("sex", "gender"),
    "localization": ("localization", "anatom site general", "anatom site general challenge", "site", "region"),
    "dx": ("dx", "diagnosis"),
    "dx_type": ("dx type", "diagnosis confirm type"),
    "split": ("split", "subset", "partition", "set"),
}
MELANOMA: Final = ("mel", "melanoma", "is melanoma")
# Where labels come from another file, what a submission calls its scores (Kaggle's of ISIC 2020: image_name,target).
SUBMITTED: Final = ("target", "label")
GIVEN: Final = {
    **{"id": "image_id", "label": "label", "score": "score", "logit": "logit", "group": "group"},
    **{name: name for name in ("age", "sex", "localization", "dx", "dx_type", "split")},
}


@dataclass(frozen=True)
class Columns:
    """What the user says of columns: role -> its column; `groups` are columns of lesions or patients."""

    named: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


AS_NAMED: Final = Columns()


def parse_columns(texts: Sequence[str]) -> Columns:
    """Reads id=NAME, label=NAME, score=NAME, group=NAME (several times) and so on.

    Raises:
        UserError: one of them is not of this form, is no role, or is given twice.
    """
    named, groups = dict[str, str](), []
    for text in texts:
        role, equals, name = (part.strip() for part in text.partition("="))
        if not equals or not name or role not in GIVEN:
            raise UserError(
                f"--columns: {text!r} is not ROLE=COLUMN with one of the roles {', '.join(GIVEN)}; give "
                '--columns="id=image,label=y,score=p"'
            )
        if role == "group":
            groups.append(name)
        elif GIVEN[role] in named:
            raise UserError(f"--columns names {role} twice; leave one of them")
        else:
            named[GIVEN[role]] = name
    return Columns(named, tuple(groups))


@dataclass(frozen=True)
class Found:
    """Role -> place of its column, the places of the user's own groups, and what is to be said of them."""

    place: Mapping[str, int]
    groups: tuple[int, ...]
    unused: frozenset[str]  # what the user names and the table lacks
    notes: tuple[str, ...]


def find_columns(
    names: Sequence[str], columns: Columns, path: str, *, needed: Sequence[str], lenient: bool = False
) -> Found:
    """Finds the columns of a table.

    Args:
        names: of the columns.
        columns: what the user says of them.
        path: of the file, for messages.
        needed: which of image_id, label and score must be there; a table without image_id has its rows in order.
        lenient: whether a column that the user names may be missing.

    Raises:
        UserError: label or score is needed and not there; a column that is named is not there, or there twice.
    """
    by_word: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        by_word.setdefault(plain(name), []).append(i)
    notes = list[str]()

    def only(word: str, role: str) -> int | None:
        places = by_word.get(word, [])
        if len(places) > 1 and role in ("image_id", "label", "score"):
            raise UserError(f"{path} has the column {names[places[0]]} twice; rename or remove one")
        if len(places) > 1:
            notes.append(f"the column {names[places[0]]} is there twice and not used")
        return places[0] if len(places) == 1 else None

    def named(name: str, role: str) -> int | None:
        if name in names:
            return list(names).index(name)
        if (place := only(plain(name), role)) is None and not lenient:
            raise UserError(f"{path} has no column {name}, which --columns names; its columns are {', '.join(names)}")
        return place

    given = {role: named(name, role) for role, name in columns.named.items()}
    of_groups = {name: named(name, "group") for name in columns.groups}
    unused = frozenset(
        name for name, i in {**{columns.named[r]: i for r, i in given.items()}, **of_groups}.items() if i is None
    )
    place = {role: i for role, i in given.items() if i is not None}
    groups = tuple(i for i in of_groups.values() if i is not None)
    taken = {*place.values(), *groups}
    for role, words in NAMES.items():
        if role in place or (role not in needed and role in ("label", "score")):
            continue
        candidates = (only(word, role) for word in words if word in by_word)
        free = (at for at in candidates if at is not None and (at not in taken or role == "dx"))
        if (nearest := next(free, None)) is not None:
            place[role] = nearest
            taken.add(nearest)
    for role in ("label", "score"):
        if role in needed and role not in place:
            words = SUBMITTED if role == "score" and "label" not in needed else MELANOMA
            spare = [by_word[word][0] for word in words if word in by_word and by_word[word][0] not in taken]
            if spare:
                place[role] = spare[0]
                taken.add(spare[0])
    missing = [role for role in needed if role not in place and role != "image_id"]
    if missing:
        raise UserError(_missing(path, names, missing, place))
    renamed = [
        f"{names[i]} as {role}"
        for role, i in place.items()
        if role in ("image_id", "label", "score") and plain(names[i]) != plain(role)
    ]
    if renamed and not columns.named:
        notes.insert(0, f"read {', '.join(renamed)}; --columns names others")
    return Found(place, groups, unused, tuple(notes))


def _missing(path: str, names: Sequence[str], missing: Sequence[str], place: Mapping[str, int]) -> str:
    shown = ", ".join(names)
    if all(_is_number(name) for name in names[1:]):
        return f"{path} begins with a row of data ({shown}); give it the header image_id,label,score"
    what = " and no column of ".join("labels" if role == "label" else "scores" for role in missing)
    remedy = ",".join(f"{'id' if role == 'image_id' else role}=NAME" for role in missing)
    found = "" if "score" not in place else f" (its scores are {names[place['score']]})"
    truth = "give --truth=FILE with the labels, or " if "label" in missing else ""
    if "score" in missing and "label" in place:
        truth = f"if {names[place['label']]} holds the scores, give --truth=FILE with the labels, else "
    return (
        f"{path} has no column of {what}{found}; its columns are {shown}; {truth}"
        f'name {"them" if len(missing) > 1 else "it"} with --columns="{remedy}"'
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
