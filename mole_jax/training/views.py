"""Images in several of the square's eight positions, and stored features of these, as one source."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mole_jax.classifier.network import Network
from mole_jax.data.dataset import Dataset
from mole_jax.data.records import Split
from mole_jax.data.shards import Source
from mole_jax.placement import Placement, one_device
from mole_jax.processes import several
from mole_jax.training.blocks import Tell
from mole_jax.training.feature_store import FeatureStore


class Views:
    """Several sources of the same records, side by side: `image` holds one row of each, [views, ...]."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Joins them.

        Args:
            sources: of equal length and labels.
        """
        self._sources = sources

    def __len__(self) -> int:
        """The number of records."""
        return len(self._sources[0])

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """One record."""
        records = [source[index] for source in self._sources]
        return {**records[0], "image": np.stack([record["image"] for record in records])}


def sources_of(
    network: Network, dataset: Dataset, placement: Placement, *, views: int = 1, tell: Tell = lambda _: None
) -> dict[Split, Source]:
    """What a network's model is fed with: a dataset's images; or their features, computed where they are missing, in
    `views` positions side by side where that is more than one.

    Args:
        network: images are turned in its step (`evaluation_step`), features before they are stored.
        dataset: any prepared one.
        placement: the devices that compute features.
        views: 1 to 8.
        tell: called with a line for people while features are computed.
    """
    if network.frozen is None:
        return dataset.splits
    data_dir: Path = dataset.directory.parents[1]
    # Of several processes one computes what is missing, alone, and the others wait for it and find it.
    devices = one_device() if several() else placement
    seen = []
    for which in range(views):
        store = FeatureStore(data_dir, network.frozen._replace(position=which), devices)
        seen.append(store.sources(dataset, tell=_beginning(f"position {which + 1} of {views}: ", tell, views)))
    if views == 1:
        return seen[0]
    return {split: Views([of_view[split] for of_view in seen]) for split in seen[0]}


def _beginning(words: str, tell: Tell, views: int) -> Tell:
    return tell if views == 1 else lambda line: tell(words + line)
