"""PyTorch's side. torchvision has no release for every PyTorch, so the networks are written out here."""

from collections.abc import Callable
from typing import Any

from benchmarks.networks import CNN_BLOCKS, CNN_HEAD, IMAGE_SIZE, Stage, lite0_blocks
from benchmarks.turn import Absent


def use(platform: str, cores: int) -> Any:
    """Imports PyTorch, to compute on so many threads; gives its device.

    Raises:
        Absent: this PyTorch does not see the accelerator.
    """
    import torch

    torch.set_num_threads(cores)
    if platform == "cpu":
        return torch.device("cpu")
    if platform != "gpu" or not torch.cuda.is_available():
        raise Absent(f"this PyTorch sees no {platform.upper()}")
    return torch.device("cuda")


def synchronize(device: Any) -> None:
    """Waits until the device has finished."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()


def cnn() -> Any:
    """The paper's CNN, giving logits [batch, 1]."""
    from torch import nn

    stack: list[Any] = []
    side, before = IMAGE_SIZE, 3
    for channels, kernel, stride, padding, pool in CNN_BLOCKS:
        stack += [nn.Conv2d(before, channels, kernel, stride, padding), nn.BatchNorm2d(channels, 1e-3)]
        stack += [nn.ReLU(), nn.MaxPool2d(pool)]
        side, before = ((side + 2 * padding - kernel) // stride + 1) // pool, channels
    stack.append(nn.Flatten())
    inputs = side * side * before
    for width in CNN_HEAD[:-1]:
        stack += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*stack, nn.Linear(inputs, CNN_HEAD[-1]))


def cnn_train_step(model: Any) -> Callable[[Any, Any], None]:
    """Gives (images, labels) -> one step of Adam."""
    import torch

    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7)
    loss_of = torch.nn.functional.binary_cross_entropy_with_logits

    def step(images: Any, labels: Any) -> None:
        optimizer.zero_grad()
        loss_of(model(images)[:, 0].float(), labels).backward()
        optimizer.step()

    return step


def resnet50() -> Any:
    """ResNet50 v1.5 (stride on the 3x3) without its classifier: 7x7 feature maps of 2048 channels."""
    from torch import nn

    class Bottleneck(nn.Module):
        def __init__(self, before: int, inside: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(before, inside, 1, bias=False),
                nn.BatchNorm2d(inside),
                nn.ReLU(inplace=True),
                nn.Conv2d(inside, inside, 3, stride, 1, bias=False),
                nn.BatchNorm2d(inside),
                nn.ReLU(inplace=True),
                nn.Conv2d(inside, 4 * inside, 1, bias=False),
                nn.BatchNorm2d(4 * inside),
            )
            same = stride == 1 and before == 4 * inside
            conv = nn.Conv2d(before, 4 * inside, 1, stride, bias=False)
            self.shortcut = nn.Identity() if same else nn.Sequential(conv, nn.BatchNorm2d(4 * inside))
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    blocks: list[Any] = []
    before = 64
    for stage, size in enumerate((3, 4, 6, 3)):
        inside = 64 * 2**stage
        for index in range(size):
            blocks.append(Bottleneck(before, inside, 2 if stage > 0 and index == 0 else 1))
            before = 4 * inside
    return nn.Sequential(*stem, *blocks)


def efficientnet_lite0() -> Any:
    """EfficientNet-Lite0 without its classifier: 1,280 averages of the last feature map."""
    from torch import nn

    def layer(before: int, channels: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> list[Any]:
        # TensorFlow's padding at even sizes: with stride 2 one pixel less at the near side.
        far = kernel // 2
        near = far - (stride - 1)
        pad = [nn.ZeroPad2d((near, far, near, far))] if far else []
        conv = nn.Conv2d(before, channels, kernel, stride, groups=before if depthwise else 1, bias=False)
        return [*pad, conv, nn.BatchNorm2d(channels, 1e-3)]

    class Block(nn.Module):
        def __init__(self, before: int, stage: Stage) -> None:
            super().__init__()
            inside = stage.expansion * before
            expand = [*layer(before, inside, 1), nn.ReLU6(inplace=True)] if stage.expansion != 1 else []
            spread = [*layer(inside, inside, stage.kernel, stage.stride, depthwise=True), nn.ReLU6(inplace=True)]
            self.body = nn.Sequential(*expand, *spread, *layer(inside, stage.channels, 1))
            self.skip = stage.stride == 1 and before == stage.channels

        def forward(self, x: Any) -> Any:
            return x + self.body(x) if self.skip else self.body(x)

    stack: list[Any] = [*layer(3, 32, 3, 2), nn.ReLU6(inplace=True)]
    before = 32
    for stage in lite0_blocks():
        stack.append(Block(before, stage))
        before = stage.channels
    head = [*layer(before, 1280, 1), nn.ReLU6(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*stack, *head)
