"""A mosaic is made of patches of one picture, as bright as those of the other."""

import numpy as np
import pytest
from PIL import Image

from xaibook.mosaic import mosaic


def test_a_mosaic_has_one_picture_s_colours_and_the_other_s_light():
    rng = np.random.default_rng(0)
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = rng.integers(0, 256, (32, 1))  # rows, dark and bright
    light = np.zeros((16, 24, 3), np.uint8)
    light[:, 12:] = 255
    made = np.asarray(mosaic(Image.fromarray(light), Image.fromarray(red), patch=4))
    assert made.shape == light.shape
    assert made[..., 1:].max() == 0
    assert made[:, 12:, 0].mean() > made[:, :12, 0].mean() + 50


def test_sides_must_be_multiples_of_the_patch():
    image = Image.new("RGB", (20, 24))
    with pytest.raises(ValueError, match="20x24 pixels cannot be laid out in patches of 8"):
        mosaic(image, image)
