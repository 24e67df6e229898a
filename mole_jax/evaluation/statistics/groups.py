"""Which images belong together (one lesion, or one patient), and drawing those groups with replacement."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped
from tqdm import tqdm

SHOWN_AFTER = 2  # seconds: what ends sooner needs no bar


@dataclass(frozen=True)
class Groups:
    """The lesions (or patients) of a set of images. A group may hold images of both classes."""

    index: Integer[np.ndarray, " n"]  # each image's group, 0..g-1, in the sorted order of their ids
    stratum: Integer[np.ndarray, " g"]  # by the group's images: 0 none positive, 1 all positive, 2 some
    unit: str = "lesion"  # what a group is called

    @property
    def count(self) -> int:
        """How many groups."""
        return len(self.stratum)

    @property
    def positives(self) -> int:
        """How many groups have a positive image."""
        return int((self.stratum > 0).sum())

    @property
    def negatives(self) -> int:
        """How many groups have a negative image."""
        return int((self.stratum != 1).sum())

    def sums(self, values: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, " g"]:
        """The sum over each group's images."""
        return np.bincount(self.index, weights=values, minlength=self.count)

    def effective(self, among: Bool[np.ndarray, " n"]) -> float:
        """Kish's effective number of some of the images: their number where each is of another group.

        (sum of n_i) ** 2 / sum of n_i ** 2 for n_i images of group i (Kish, Survey Sampling, 1965): as many independent
        images as would say the same if all images of a group were alike. 0 where there are none.
        """
        sizes = np.bincount(self.index[among], minlength=self.count).astype(np.float64)
        return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0


def group_images(group: Shaped[np.ndarray, " n"], label: Integer[np.ndarray, " n"], *, unit: str = "lesion") -> Groups:
    """Numbers the groups and tells which classes each one holds.

    Args:
        group: each image's lesion id.
        label: 0 or 1.
        unit: what a group is called.
    """
    names, index = np.unique(group, return_inverse=True)
    images = np.bincount(index, minlength=len(names))
    positives = np.bincount(index, weights=label, minlength=len(names))
    return Groups(index, np.where(positives == 0, 0, np.where(positives == images, 1, 2)), unit)


def connected(columns: Sequence[Shaped[np.ndarray, " n"]]) -> Integer[np.ndarray, " n"]:
    """Numbers what hangs together: images that share a name in any of the columns, and so on from image to image.

    Args:
        columns: of names; "" connects nothing.
    """
    # Here, because it takes .2 s to import and few files name both lesions and patients.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    images, nodes, size = [], [], len(columns[0])
    for column in columns:
        named = np.flatnonzero(column != "")
        _, code = np.unique(column[named], return_inverse=True)
        images.append(named)
        nodes.append(size + code)
        size += int(code.max(initial=-1)) + 1
    ends = np.concatenate(images), np.concatenate(nodes)
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(size, size))
    return connected_components(graph, directed=False)[1][: len(columns[0])].astype(np.int64)


def draw_weights(groups: Groups, *, resamples: int, seed: int, at_a_time: int) -> Iterator[Float[np.ndarray, "g r"]]:
    """Draws as many groups as there are, with replacement, whatever their class: how often each was drawn.

    The class comes with the group, so the share of melanomas varies from draw to draw as it would from study to study.
    The draws depend on the seed and the number of groups alone, not on `at_a_time`; two files over the same lesions get
    the same draws, which is what makes their comparison paired.

    Args:
        groups: the lesions.
        resamples: how many times.
        seed: of the draws.
        at_a_time: resamples yielded in one piece, to bound memory.
    """
    stream, g = np.random.default_rng(seed), groups.count
    with tqdm(total=resamples, desc="resampling", unit="", delay=SHOWN_AFTER, leave=False, disable=None) as bar:
        for start in range(0, resamples, at_a_time):
            r = min(at_a_time, resamples - start)
            drawn = stream.integers(g, size=(r, g)) + g * np.arange(r)[:, None]
            yield np.bincount(drawn.ravel(), minlength=r * g).reshape(r, g).T.astype(np.float64)
            bar.update(r)
