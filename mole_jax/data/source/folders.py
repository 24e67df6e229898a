"""What the folders above a file say: its class and its split."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable

from mole_jax.data.records import Split
from mole_jax.data.source.choices import Choices
from mole_jax.vocabulary.words import SPLIT_WORDS, plain


class ClassFolders:
    """The class folders of a source: those that the user names, else those with the name of a diagnosis.

    A diagnosis counts only where folders of both classes stand side by side somewhere: a folder that holds everything
    and happens to be called melanoma tells no class.
    """

    def __init__(self, paths: Iterable[str], choices: Choices) -> None:
        beside: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for path in paths:
            parts = tuple(path.split("/")[:-1])
            for i, part in enumerate(parts):
                beside[parts[:i]][part] += 1
        self.labels: dict[str, int] = dict(choices.classes)
        if not choices.classes:
            for names in beside.values():
                labels = {plain(name): label for name in names if (label := _label(name, choices)) is not None}
                if len(set(labels.values())) == 2:
                    self.labels |= labels
        self._others: Counter[str] = Counter()
        for names in beside.values():
            if any(plain(name) in self.labels for name in names):
                self._others.update({name: n for name, n in names.items() if plain(name) not in self.labels})
        self.seen = Counter({name: n for names in beside.values() for name, n in names.items()})

    def class_of(self, path: str) -> int | None:
        """The label of the innermost class folder."""
        labels = [self.labels[name] for part in path.split("/")[:-1] if (name := plain(part)) in self.labels]
        return labels[-1] if labels else None

    def split_of(self, path: str) -> Split | None:
        """The split folder right above a class folder."""
        parts = [plain(part) for part in path.split("/")[:-1]]
        splits = [SPLIT_WORDS[a] for a, b in itertools.pairwise(parts) if a in SPLIT_WORDS and b in self.labels]
        return splits[-1] if splits else None

    def others(self) -> str:
        """The folders beside class folders that are none, with their numbers of files; "" if there is none."""
        return ", ".join(f"{name} ({count:,})" for name, count in self._others.most_common(12))


def _label(name: str, choices: Choices) -> int | None:
    try:
        return choices.decisions.label(name)
    except KeyError:
        return None
