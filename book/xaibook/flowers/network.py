"""A residual network small enough to train on one processor core in two minutes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """The basic block of He et al. (2016): two 3x3 convolutions beside a shortcut.

    Each rectifier is a module of its own, so that a hook or a modified backward pass meets every
    use of it once.

    Args:
        inputs: Number of input channels.
        outputs: Number of output channels.
        stride: Factor by which the block reduces height and width.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``, rounded up."""
        inner = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(inner)) + self.shortcut(x))


class SmallResNet(nn.Module):
    """A residual network of three stages with one basic block each; 310 k parameters.

    With the default strides an image of 64x64 pixels passes as

    ========  ==============  ===========================
    layer     output          what it is
    ========  ==============  ===========================
    input     (B, 3, 64, 64)  normalised pixels
    stem      (B, 32, 32, 32) 3x3 convolution, stride 2
    stages.0  (B, 32, 16, 16) residual block, stride 2
    stages.1  (B, 64, 8, 8)   residual block, stride 2
    stages.2  (B, 128, 8, 8)  residual block, stride 1
    head      (B, classes)    global average, then linear
    ========  ==============  ===========================

    Global average pooling followed by one linear layer makes CAM applicable to ``stages.2`` and
    Grad-CAM equal to it there, up to a positive factor. Any height and width from 1 pixel up work.

    Args:
        num_classes: Number of logits.
        widths: Channels of the stages.
        strides: Strides of the stages, one for each.

    Raises:
        ValueError: ``widths`` and ``strides`` differ in length, or are empty.
    """

    def __init__(
        self,
        num_classes: int,
        widths: Sequence[int] = (32, 64, 128),
        strides: Sequence[int] = (2, 2, 1),
    ) -> None:
        super().__init__()
        if len(widths) != len(strides) or not widths:
            raise ValueError(
                f"widths and strides need one number for each stage: got {len(widths)} widths "
                f"and {len(strides)} strides"
            )
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        inputs = (widths[0], *widths[:-1])
        self.stages = nn.Sequential(
            *(ResidualBlock(*stage) for stage in zip(inputs, widths, strides, strict=True))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, num_classes)`` of normalised images ``(B, 3, H, W)``."""
        return self.fc(self.pool(self.stages(self.stem(x))).flatten(1))
