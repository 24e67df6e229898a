"""The networks that every framework builds for itself here, as plain numbers, and what they cost."""

from typing import NamedTuple

# The paper's CNN: (channels, kernel, stride, zero padding, pool) of each block, then fully connected layers.
CNN_BLOCKS = ((32, 7, 1, 3, 2), (64, 5, 1, 2, 2), (128, 3, 1, 1, 2), (128, 3, 3, 0, 3))
CNN_HEAD = (512, 32, 1)
# ResNet50 v1.5 at 224x224: 4.09 G multiply-adds without the classifier, two operations each (He et al. 2015 count
# multiply-adds; v1.5 has its stride on the 3x3).
RESNET50_FLOPS = 2 * 4.09e9
IMAGE_SIZE = 224


class Stage(NamedTuple):
    """A stage of EfficientNet-Lite0, or one of its blocks."""

    kernel: int
    stride: int  # of its first block
    expansion: int
    channels: int
    repeats: int = 1


LITE0_STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3),
    Stage(5, 2, 6, 192, 4),
    Stage(3, 1, 6, 320, 1),
)


def lite0_blocks() -> list[Stage]:
    """The blocks from the input on, each with a stride of its own."""
    return [
        stage._replace(stride=1 if index else stage.stride, repeats=1)
        for stage in LITE0_STAGES
        for index in range(stage.repeats)
    ]


def cnn_flops(*, train: bool) -> float:
    """Floating-point operations an image of the CNN's convolutions and matrix products, two a multiply-add.

    Training counts three times the forward pass, as is usual, less the first layer's gradient for the image, which
    nobody needs.
    """
    side, before, layers = IMAGE_SIZE, 3, []
    for channels, kernel, stride, padding, pool in CNN_BLOCKS:
        side = (side + 2 * padding - kernel) // stride + 1
        layers.append(2.0 * side * side * channels * kernel * kernel * before)
        side, before = side // pool, channels
    inputs = side * side * before
    for width in CNN_HEAD:
        layers.append(2.0 * inputs * width)
        inputs = width
    return 3 * sum(layers) - layers[0] if train else sum(layers)
