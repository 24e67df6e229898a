"""The mean and deviation of pixels by channel, gathered as exact integers, so that the order does not matter."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8


@dataclass(frozen=True)
class Moments:
    """Sums over pixels.

    Attributes:
        pixels: number of pixels.
        total: sum of the values, 0..255 each, by channel.
        squares: sum of the squared values, by channel.
    """

    pixels: int
    total: Int64[np.ndarray, " 3"]
    squares: Int64[np.ndarray, " 3"]

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "height width 3"]) -> "Moments":
        """The moments of one image, of at most 65,536 rows."""
        # Down the rows first: NumPy adds whole rows fast and triples of channels slowly.
        rows = image.reshape(len(image), -1)
        sums = rows.sum(axis=0, dtype=np.uint32), np.einsum("rc,rc->c", rows, rows, dtype=np.uint32)
        total, squares = (by_column.reshape(-1, 3).sum(axis=0, dtype=np.int64) for by_column in sums)
        return cls(image.size // 3, total, squares)

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both together."""
        return Moments(self.pixels + other.pixels, self.total + other.total, self.squares + other.squares)

    def mean(self) -> list[float]:
        """The mean of the values/255, by channel; empty without pixels."""
        return [float(x) for x in self.total / (255 * self.pixels)] if self.pixels else []

    def std(self) -> list[float]:
        """The standard deviation over all pixels of the values/255, by channel; empty without pixels."""
        if not self.pixels:
            return []
        mean = self.total / self.pixels
        return [float(x) / 255 for x in np.sqrt(self.squares / self.pixels - mean**2)]


NO_MOMENTS = Moments(0, np.zeros(3, np.int64), np.zeros(3, np.int64))
