"""Lines about images, targets and maps."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

import xaicore as xc
from tests.xaicore.inputs.subjects import classifier, images, network, of_nan, shape, small_resnet
from tests.xaicore.inputs.table import row
from xaicore.masking import degenerate, normalize, upsample

IMAGES, TARGETS, CONSTANT, MAPS = "images", "targets", "constant maps", "maps made elsewhere"


def shown(given: object) -> str:
    return shape(classifier(network()), given)  # type: ignore[arg-type]


@row(IMAGES)
def _() -> str:
    """a picture of Pillow's

    Before: refused: `images must be a torch tensor`

    Now: TypeError: images must be a torch tensor, not Image: xc.read_image(picture, classifier)
    makes one
    """
    return shown(Image.new("RGB", (8, 8)))


@row(IMAGES)
def _() -> str:
    """an array (H, W, 3)

    Before: refused: `images must be a torch tensor`

    Now: TypeError: images must be a torch tensor, not ndarray: xc.read_image(picture,
    classifier) makes one
    """
    return shown(np.zeros((8, 8, 3)))


@row(IMAGES)
def _() -> str:
    """bytes from 0 to 255

    Before: the same

    Now: ValueError: images must be floating point in [0, 1], not torch.uint8: divide by 255
    """
    return shown((255 * images()).to(torch.uint8))


@row(IMAGES)
def _() -> str:
    """pixels that are normalised already

    Before: the same

    Now: ValueError: images must be finite pixels in [0, 1], got [-2.4995682, 2.4981825]: the
    classifier normalises them itself
    """
    return shown((images() - 0.5) / 0.2)


@row(IMAGES)
def _() -> str:
    """pixels that rounding brought to 1.0000001

    Before: refused: `finite pixels in [0, 1], got [1, 1]`

    Now: ValueError: images must be finite pixels in [0, 1], got [1.0000001, 1.0000001]:
    images.clamp(0, 1)
    """
    return shown(torch.full((1, 3, 12, 16), 1.0000001))


@row(IMAGES)
def _() -> str:
    """one image without a batch dimension

    Before: the same

    Now: ValueError: images must have shape (B, channels, H, W), not (3, 12, 16) (add a batch
    dimension: images[None])
    """
    return shown(images()[0])


@row(IMAGES)
def _() -> str:
    """an image with a pixel that is NaN

    Before: the same

    Now: ValueError: images must be finite pixels in [0, 1], got [nan, nan]: …
    """
    given = images()
    given[0, 0, 0, 0] = torch.nan
    return shown(given)


def asked(target: object) -> str:
    names = ["ant", "bee", "cat", "dog"]
    return shape(classifier(network(), classes=names), images(), target)


@row(TARGETS)
def _() -> str:
    """a list, `[1, 2]`

    Before: the same

    Now: maps of shape (2, 1, 12, 16)
    """
    return asked([1, 2])


@row(TARGETS)
def _() -> str:
    """an array of NumPy

    Before: the same

    Now: maps of shape (2, 1, 12, 16)
    """
    return asked(np.array([1, 2]))


@row(TARGETS)
def _() -> str:
    """the name of a class, `"bee"`

    Before: error: `new(): invalid data type 'str'`

    Now: maps of shape (2, 1, 12, 16)
    """
    model = classifier(network(), classes=["ant", "bee", "cat", "dog"])
    assert torch.equal(xc.GradCAM(model)(images(), "bee"), xc.GradCAM(model)(images(), 1))
    return asked("bee")


@row(TARGETS)
def _() -> str:
    """a number with a point, `1.0`

    Before: the same

    Now: ValueError: targets must be class numbers (integers), not torch.float32
    """
    return asked(1.0)


@row(TARGETS)
def _() -> str:
    """one-hot rows

    Before: refused, without the cure

    Now: ValueError: targets have shape (2, 4): give one class for each image; …, targets.argmax(1)
    """
    return asked(torch.eye(4)[:2])


@row(TARGETS)
def _() -> str:
    """a class that does not exist, 4 of 0…3

    Before: the same

    Now: ValueError: targets: class 4 is out of range, the classes are 0…3
    """
    return asked(4)


def small(side: int) -> str:
    model = xc.Classifier(small_resnet())
    maps = xc.GradCAM(model)(torch.rand(2, 3, side, side), 1)
    return f"{degenerate(maps).sum()} of 2 maps constant, values up to {maps.max():.0f}"


@row(CONSTANT)
def _() -> str:
    """32 × 32 pixels in a ResNet: its last map is 1 × 1

    Before: 1 of 2 maps constant, the other is rounding stretched to 0…1

    Now: 2 of 2 maps constant, values up to 0; warning: layer 'layer4' has one position for images
    of 32x32 pixels, so every map of it is constant: choose an earlier layer or larger images
    """
    return small(32)


@row(CONSTANT)
def _() -> str:
    """1,000 constant maps, enlarged from 1 × 1 to 32 × 32

    Before: 64 of 1000 known as constant, values up to 1

    Now: 1000 of 1000 known as constant, values up to 0
    """
    constants = torch.rand(1000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    maps = normalize(upsample(constants, (32, 32)))
    return f"{degenerate(maps).sum()} of 1000 known as constant, values up to {maps.max():.0f}"


@row(CONSTANT)
def _() -> str:
    """1,000 constant maps, enlarged from 4 × 4 to 32 × 32

    Before: 210 of 1000 known as constant, values up to 1

    Now: 1000 of 1000 known as constant, values up to 0
    """
    constants = torch.rand(1000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    maps = normalize(upsample(constants.expand(-1, 1, 4, 4), (32, 32)))
    return f"{degenerate(maps).sum()} of 1000 known as constant, values up to {maps.max():.0f}"


@row(CONSTANT)
def _() -> str:
    """a network that gives NaN

    Before: refused: `the map of image 0 is not finite`

    Now: ValueError: the network gives NaN for image 0 of the batch (2 in all): its logits are not
    finite there; half precision overflows early
    """
    return shape(classifier(of_nan()), images())


def measured(maps: object) -> str:
    model = classifier(network())
    records = xc.evaluate(model, [(image, 1) for image in images()], {"theirs": maps}, ["AD"])  # type: ignore[dict-item]
    return f"{records['value'].notna().sum()} values, {(records['failed'] != '').sum()} failed"


@row(MAPS)
def _() -> str:
    """an array (N, h, w) of NumPy

    Before: 0 values, 2 failed, for another reason

    Now: 2 values, 0 failed
    """
    return measured(np.random.default_rng(0).random((2, 6, 8)))


@row(MAPS)
def _() -> str:
    """a tensor (N, h, w)

    Before: 0 values, 2 failed, for another reason

    Now: 2 values, 0 failed
    """
    return measured(torch.rand(2, 6, 8))


@row(MAPS)
def _() -> str:
    """maps (N, 3, h, w)

    Before: 2 values, of numbers that mean nothing

    Now: ValueError: theirs: maps must have shape (N, 1, h, w) or (N, h, w), not (2, 3, 6, 8)
    """
    return measured(torch.rand(2, 3, 6, 8))


@row(MAPS)
def _() -> str:
    """one map too few

    Before: the same

    Now: ValueError: theirs: 1 maps for 2 images
    """
    return measured(torch.rand(1, 1, 6, 8))


@row(MAPS)
def _() -> str:
    """a map that holds NaN

    Before: 2 values, without a word

    Now: ValueError: theirs: 2 of 2 maps hold NaN or infinity, the first is that of image 0
    """
    return measured(torch.full((2, 1, 6, 8), torch.nan))


@row(MAPS)
def _() -> str:
    """numbers that are complex

    Before: 2 values; a warning of torch

    Now: ValueError: theirs: maps must be real numbers, not torch.complex64
    """
    return measured(torch.rand(2, 1, 6, 8).to(torch.complex64))


@row(MAPS)
def _() -> str:
    """a method that was not made, `xc.GradCAM`

    Before: 0 values, 2 failed

    Now: ValueError: theirs: GradCAM is a class: make one, GradCAM(model)
    """
    return measured(xc.GradCAM)
