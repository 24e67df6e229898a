"""The images of this room: 224x224 bytes of red, green and blue, as datasets have them; and their colours."""

from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

Image224: TypeAlias = UInt8[np.ndarray, "224 224 3"]


def lab_of(image: Image224) -> Float32[np.ndarray, "224 224 3"]:
    """CIELAB of sRGB under D65: lightness 0..100, green to red, blue to yellow; within .3 (OpenCV's tables)."""
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
