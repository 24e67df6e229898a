"""The networks that every framework builds for itself here, as plain numbers, and what they cost."""

# The paper's CNN: (channels, kernel, stride, zero padding, pool) of each block, then fully connected layers.
CNN_BLOCKS = ((32, 7, 1, 3, 2), (64, 5, 1, 2, 2), (128, 3, 1, 1, 2), (128, 3, 3, 0, 3))
CNN_HEAD = (512, 32, 1)
# ResNet50 v1.5 at 224x224: 4.09 G multiply-adds without the classifier, two operations each (He et al. 2015 count
# multiply-adds; v1.5 has its stride on the 3x3).
RESNET50_FLOPS = 2 * 4.09e9
IMAGE_SIZE = 224


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
