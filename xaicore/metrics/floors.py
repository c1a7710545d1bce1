"""Maps that know nothing of the network: what a method must beat to have explained anything.

Each function takes images or masks and returns saliency ``(B, 1, H, W)`` in ``[0, 1]``, as an
explainer does, at no forward.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur, rgb_to_grayscale

from xaicore.attribution.explainer import check_images
from xaicore.masking import normalize


def noise_maps(images: Tensor, seed: int = 0) -> Tensor:
    """Return uniform noise, the same for every image.

    Args:
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.
        seed: the seed of the noise; another one for each batch gives independent noise.

    Raises:
        ValueError: the images cannot be used; the message says why.
    """
    check_images(images)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 1, *images.shape[-2:], generator=generator)
    return normalize(noise).to(images).repeat(len(images), 1, 1, 1)


def centre_maps(images: Tensor, sigma: float = 0.25) -> Tensor:
    """Return a Gaussian in the centre of each image.

    Args:
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.
        sigma: its standard deviation, as a share of the shorter side.

    Raises:
        ValueError: the images cannot be used, or ``sigma`` is not positive.
    """
    check_images(images)
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, not {sigma}")
    width = sigma * min(images.shape[-2:])
    y, x = (torch.arange(size) - (size - 1) / 2 for size in images.shape[-2:])
    gaussian = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * width**2))
    return normalize(gaussian[None, None]).to(images).repeat(len(images), 1, 1, 1)


def edge_maps(images: Tensor) -> Tensor:
    """Return the edges of each image: the length of the Sobel gradient of its luminance.

    The image is continued by its border pixels, so the border is no edge.

    Args:
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.

    Raises:
        ValueError: the images cannot be used; the message says why.
    """
    check_images(images)
    grey = F.pad(rgb_to_grayscale(images.detach()), (1, 1, 1, 1), mode="replicate")
    down = grey[..., :-2, :] + 2 * grey[..., 1:-1, :] + grey[..., 2:, :]
    right = grey[..., :-2] + 2 * grey[..., 1:-1] + grey[..., 2:]
    across = down[..., 2:] - down[..., :-2]
    along = right[..., 2:, :] - right[..., :-2, :]
    return normalize(torch.hypot(across, along))


def colour_maps(images: Tensor) -> Tensor:
    """Return how far each pixel's colour is from the mean colour of its image.

    Args:
        images: pixels ``(B, 3, H, W)`` in ``[0, 1]``.

    Raises:
        ValueError: the images cannot be used; the message says why.
    """
    check_images(images)
    pixels = images.detach()
    return normalize((pixels - pixels.mean((2, 3), keepdim=True)).norm(dim=1, keepdim=True))


def mask_maps(masks: Tensor, sigma: float = 0.0) -> Tensor:
    """Return masks as maps: a silhouette, another part, or the true part as seen by a coarse grid.

    Args:
        masks: coverage ``(B, 1, H, W)`` in ``[0, 1]``, or booleans.
        sigma: standard deviation in pixels of a blur, which shows the best that maps of low
            resolution can reach. 0: none.

    Raises:
        ValueError: the masks cannot be used, or ``sigma`` is negative.
    """
    if masks.ndim != 4 or masks.shape[1] != 1 or not ((masks >= 0) & (masks <= 1)).all():
        raise ValueError("masks must be booleans or coverage in [0, 1], of shape (B, 1, H, W)")
    if sigma < 0:
        raise ValueError(f"sigma must not be negative, not {sigma}")
    maps = masks if masks.is_floating_point() else masks.float()
    if sigma:
        half = min(round(3 * sigma), min(masks.shape[-2:]) - 1)
        maps = gaussian_blur(maps, [2 * half + 1] * 2, [sigma] * 2)
    return normalize(maps)
