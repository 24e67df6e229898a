"""JPEG folders for PyTorch, as torchvision's ImageFolder reads them."""

from pathlib import Path
from typing import Any

from benchmarks.networks import IMAGE_SIZE


class Folder:
    """A map-style dataset: uint8 [224, 224, 3] and the label of every JPEG below a folder of class folders.

    Decoded by Pillow and resized bilinearly, ImageFolder's and torchvision's defaults.
    """

    def __init__(self, folder: str) -> None:
        classes = sorted(path for path in Path(folder).iterdir() if path.is_dir())
        self._items = [(path, label) for label, of in enumerate(classes) for path in sorted(of.glob("*.jpg"))]

    def __len__(self) -> int:
        """How many images."""
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        """One image and its label."""
        import numpy as np
        from PIL import Image

        path, label = self._items[index]
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
        return np.asarray(resized), float(label)


def loader(folder: str, *, batch: int, workers: int) -> Any:
    """A shuffling DataLoader whose workers stay between epochs."""
    from torch.utils.data import DataLoader

    return DataLoader(Folder(folder), batch, shuffle=True, num_workers=workers, persistent_workers=True)
