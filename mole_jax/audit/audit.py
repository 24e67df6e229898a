"""The whole audit of a collection: leaks, duplicates, contradictions, shortcuts, copies, balance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Int

from mole_jax.audit.balance import balance
from mole_jax.audit.collection import Collection, Member
from mole_jax.audit.copies import Copies, against_manifest, among_themselves, from_originals, groups_of_copies
from mole_jax.audit.duplicates import named, same, straddles, summarise
from mole_jax.audit.leaks import leaks, siblings_in_training
from mole_jax.audit.shortcuts import file_facts_table, shortcut
from mole_jax.audit.traits import Traits, look_at_all
from mole_jax.data.groups import connected
from mole_jax.errors import UserError
from mole_jax.looks.fingerprints import Fingerprints
from mole_jax.looks.near_duplicates import Pair, near_duplicates

WORST: Final = 24


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        result: the content of audit.json; `mole_jax/audit/schema.md` describes it.
        members: the images that could be read.
        places: index of each member in the collection.
        pairs: pairs of near duplicates, as indices into members: those across splits first, then the most similar.
        copies: groups of copies, as indices into members.
    """

    result: dict[str, Any]
    members: list[Member]
    places: list[int]
    pairs: list[Pair]
    copies: list[Copies]

    @property
    def leaky(self) -> bool:
        """Whether a held-out image has been seen in another split."""
        return bool(self.result["leaks"])


def audit(collection: Collection, originals: Collection | None = None) -> Audit:
    """Audits a collection. Near duplicates are found by pixels alone, whatever the manifest says.

    Args:
        collection: the images to audit.
        originals: where the originals of augmented copies may be; None: among the images themselves.

    Raises:
        UserError: no image can be read.
    """
    places, looks, unreadable = _look(collection)
    members = [collection.members[i] for i in places]
    pairs = near_duplicates(Fingerprints([look.fingerprint for look in looks]))
    pairs.sort(key=lambda pair: (not _across(pair, members), -pair.similarity))
    near = connected(len(members), [(pair.query, pair.reference) for pair in pairs])
    groups = {
        "image_id": same([member.image_id for member in members]),
        "lesion": same([member.lesion_id for member in members]),
        "patient": same([member.patient_id or i for i, member in enumerate(members)]),
        "identical_file": same([look.file_hash for look in looks]),
        "identical_pixels": same([look.pixel_hash for look in looks]),
        "near_duplicate": same(near.tolist()),
    }
    copies = among_themselves(groups_of_copies(len(members), pairs), looks, members)
    if originals is not None:
        original_places, original_looks, _ = _look(originals)
        ids = [originals.members[i].image_id for i in original_places]
        copies = from_originals(copies, looks, original_looks, ids)
    duplicates = {kind: summarise(of_kind, members) for kind, of_kind in groups.items()}
    result = {
        "name": collection.name,
        "images": len(members),
        "photographed": collection.photographed,
        "from_files": collection.from_files,
        "unreadable": dict(sorted(unreadable.items())),
        "has_splits": any(member.split for member in members),
        "lesions_known": any(member.lesion_id != member.image_id for member in members),
        "patients_known": any(member.patient_id for member in members),
        "leaks": leaks(duplicates),
        "siblings_in_training": siblings_in_training(members, near),
        "duplicates": duplicates,
        "near_pairs": _count(pairs, members),
        "worst_pairs": _worst(pairs, members, near),
        "shortcuts": _shortcuts(members, looks, near, [*groups["lesion"], *groups["patient"]]),
        "copies": _describe(copies),
        "against_manifest": against_manifest(members, copies),
        "balance": balance(members, looks),
    }
    return Audit(result, members, places, pairs, copies)


def _look(collection: Collection) -> tuple[list[int], list[Traits], dict[str, str]]:
    places, looks, unreadable = look_at_all(collection)
    if not places:
        path, reason = next(iter(unreadable.items()))
        raise UserError(
            f"none of the {len(collection):,} images of {collection.name!r} can be read, such as {path!r}: {reason}; "
            "give a folder of images"
        )
    return places, looks, unreadable


def _across(pair: Pair, members: Sequence[Member]) -> bool:
    return straddles((pair.query, pair.reference), members)


def _count(pairs: Sequence[Pair], members: Sequence[Member]) -> dict[str, int]:
    """Counts the pairs that were laid over each other; pairs connected only through others are not among them."""
    across = [pair for pair in pairs if _across(pair, members)]
    return {
        "all": len(pairs),
        "across_splits": len(across),
        "copies": sum(pair.copy for pair in pairs),
        "copies_across_splits": sum(pair.copy for pair in across),
        "other_lesion_across_splits": sum(
            members[pair.query].lesion_id != members[pair.reference].lesion_id for pair in across
        ),
    }


def _worst(pairs: Sequence[Pair], members: Sequence[Member], near: Int[np.ndarray, " n"]) -> list[dict[str, Any]]:
    """Up to WORST pairs to look at, each of another lesion: across splits before others, then of both labels, then of
    different lesion ids, the most similar first.
    """

    def order(pair: Pair) -> tuple[bool, bool, bool, float]:
        a, b = members[pair.query], members[pair.reference]
        return not _across(pair, members), a.label == b.label, a.lesion_id == b.lesion_id, -pair.similarity

    worst: dict[int, Pair] = {}
    for pair in sorted(pairs, key=order):
        if len(worst) < WORST:
            worst.setdefault(int(near[pair.query]), pair)
    return [
        {
            "a": {"index": pair.query, **named(members[pair.query])},
            "b": {"index": pair.reference, **named(members[pair.reference])},
            "similarity": pair.similarity,
            "difference": pair.difference,
            "copy": pair.copy,
            "across_splits": _across(pair, members),
        }
        for pair in worst.values()
    ]


def _shortcuts(
    members: Sequence[Member], looks: Sequence[Traits], near: Int[np.ndarray, " n"], groups: Sequence[Sequence[int]]
) -> Mapping[str, Any]:
    """Cross-validated, with all images of a lesion or patient, by ids or pixels, on one side of a fold."""
    first: dict[int, int] = {}
    links = [(group[0], other) for group in groups for other in group[1:]]
    links += [(first.setdefault(int(number), i), i) for i, number in enumerate(near)]
    together = connected(len(members), links)
    label = np.array([member.label for member in members])
    border = np.stack([look.border for look in looks]).astype(np.float64)
    return {
        "file_facts": shortcut(file_facts_table([look.facts for look in looks]), label, together, each=True),
        "border": shortcut({str(i): column for i, column in enumerate(border.T)}, label, together, each=False),
    }


def _describe(copies: Sequence[Copies]) -> dict[str, int]:
    return {
        "groups": len(copies),
        "images": sum(len(of_one.images) for of_one in copies),
        "groups_with_original": sum(bool(of_one.original) for of_one in copies),
    }
