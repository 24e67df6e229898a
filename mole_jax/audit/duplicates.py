"""Groups of images that belong together, and which of them lie in two splits or have two labels."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, Final

from mole_jax.audit.collection import Member
from mole_jax.data.records import CLASSES

EXAMPLES: Final = 5  # groups named in the summary; the CSV files name all


def same(keys: Sequence[Hashable]) -> list[list[int]]:
    """Groups of indices that have a key in common, where there are at least two."""
    members = defaultdict(list)
    for i, key in enumerate(keys):
        members[key].append(i)
    return [group for group in members.values() if len(group) > 1]


def summarise(groups: Sequence[Sequence[int]], members: Sequence[Member]) -> dict[str, Any]:
    """How many groups there are, how many straddle splits, and how many contradict themselves.

    Returns:
        `groups` and `images` in them; `straddling_groups`, and `straddling_images` in those; `contradicting_groups`,
        which have both labels; `straddling` and `contradicting`: up to EXAMPLES groups as lists of members.
    """
    straddling = [group for group in groups if straddles(group, members)]
    contradicting = [group for group in groups if len({members[i].label for i in group}) > 1]
    return {
        "groups": len(groups),
        "images": sum(map(len, groups)),
        "straddling_groups": len(straddling),
        "straddling_images": sum(map(len, straddling)),
        "contradicting_groups": len(contradicting),
        "straddling": [[named(members[i]) for i in group] for group in straddling[:EXAMPLES]],
        "contradicting": [[named(members[i]) for i in group] for group in contradicting[:EXAMPLES]],
    }


def straddles(group: Sequence[int], members: Sequence[Member]) -> bool:
    """Whether the images lie in more than one split; False where there are no splits."""
    return len({members[i].split for i in group} - {None}) > 1


def named(member: Member) -> dict[str, str | None]:
    """A member as audit.json has it."""
    return {
        "image_id": member.image_id,
        "lesion_id": member.lesion_id,
        "split": member.split,
        "class": CLASSES[member.label],
        "path": member.path,
    }
