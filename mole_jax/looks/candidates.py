"""Which images are worth laying over each other: those with similar colours, and those with similar details.

Colours find copies, however they were turned; details find another photograph of a lesion in other light, of which
colours tell nothing. Of HAM10000's 3,207 pairs of photographs of one lesion, 32 % are among the nearest by colours,
62 % by details, and 70 % by either.
"""

from typing import Final

import numpy as np
from jaxtyping import Float32, Int
from sklearn.cluster import MiniBatchKMeans
from sklearn.neighbors import NearestNeighbors

from mole_jax.looks.fingerprints import DESCRIPTOR_SCALE, Fingerprint, Fingerprints

# Candidates for each image, by each of the two. Of 250 originals with seven copies each, all pairs are among the eight
# nearest colours.
NEIGHBOURS: Final = 12
# Kinds of details, and how many images they are learnt from.
KINDS: Final = 32
LEARNT_FROM: Final = 500


def candidates(query: Fingerprints, among: Fingerprints, *, within: bool) -> list[tuple[int, int]]:
    """Pairs of a query image and one of the others that is near it.

    Args:
        query: fingerprints of the images to look for.
        among: fingerprints of the images to search.
        within: whether both are the same, so that each pair is given once.
    """
    kinds = _kinds_of_details(among)
    by_details = _nearest(_details(query, kinds), _details(among, kinds), within=within)
    by_colours = _nearest(query.colours, among.colours, within=within)
    pairs = {(i, int(j)) for nearest in (by_colours, by_details) for i, of_one in enumerate(nearest) for j in of_one}
    return sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]} if within else pairs)


def _nearest(
    query: Float32[np.ndarray, "n d"], among: Float32[np.ndarray, "m d"], *, within: bool
) -> Int[np.ndarray, "n count"]:
    count = min(NEIGHBOURS + within, len(among))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(among)
    nearest: Int[np.ndarray, "n count"] = search.kneighbors(query, return_distance=False)
    return nearest


def _kinds_of_details(fingerprints: Fingerprints) -> Float32[np.ndarray, "kinds 128"]:
    """The commonest kinds of descriptors; none where the images have fewer details than that."""
    step = max(1, len(fingerprints) // LEARNT_FROM)
    learnt_from = np.concatenate([_unit(member) for member in fingerprints.members[::step]])
    if len(learnt_from) < KINDS:
        return np.zeros((0, 128), np.float32)
    centres = MiniBatchKMeans(KINDS, random_state=0, n_init=1, batch_size=4096).fit(learnt_from).cluster_centers_
    return np.asarray(centres, np.float32)


def _details(fingerprints: Fingerprints, kinds: Float32[np.ndarray, "kinds 128"]) -> Float32[np.ndarray, "n d"]:
    """How the details of each kind differ from that kind, summed, each kind and all of them of unit length (VLAD: Jegou
    et al., CVPR 2010; Arandjelovic & Zisserman, CVPR 2013).
    """
    result = np.zeros((len(fingerprints), max(1, kinds.size)), np.float32)
    if not len(kinds):
        return result
    for row, member in zip(result, fingerprints.members, strict=True):
        descriptors = _unit(member)
        kind = (descriptors @ kinds.T - (kinds**2).sum(axis=1) / 2).argmax(axis=1)
        sums = np.zeros_like(kinds)
        np.add.at(sums, kind, descriptors - kinds[kind])
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        row[:] = sums.ravel() / max(float(np.linalg.norm(sums)), 1e-6)
    return result


def _unit(member: Fingerprint) -> Float32[np.ndarray, "k 128"]:
    return member.descriptors.astype(np.float32) / DESCRIPTOR_SCALE
