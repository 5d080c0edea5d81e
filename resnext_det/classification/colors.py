"""Changes of colour for a batch of images: jitter and lighting. Engine-neutral.

Source: facebookarchive/fb.resnet.torch, datasets/transforms.lua (`Brightness`, `Contrast`,
`Saturation`, `RandomOrder`, `Lighting`) and datasets/imagenet.lua (`pca`). Everything but the
lighting is linear in the pixels, so units of 0–255 do as well as 0–1; nothing is clipped.
"""

from typing import Final

import torch
from torch import Tensor

from resnext_det.data.image_draws import ColorDraws

GRAY: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey value."""
EIGENVALUES: Final = (0.2175, 0.0188, 0.0045)
"""Of the covariance of ImageNet's colours, in units of 0–1."""
EIGENVECTORS: Final = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)
"""Rows red, green, blue; a column per eigenvalue."""
_CONTRAST, _SATURATION = 1, 2  # as in ColorDraws.order; brightness is 0


def change_colors(images: Tensor, draws: ColorDraws, pixel_format: str) -> Tensor:
    """Changes brightness, contrast and saturation in each image's own order, then its lighting.

    Args:
        images: (N, 3, H, W) float32, 0–255.
        draws: (N, 3) each.
        pixel_format: "RGB" or "BGR", of the images.

    Returns:
        (N, 3, H, W) float32; values may leave 0–255.
    """
    gray = _ordered(torch.tensor(GRAY), pixel_format).to(images)
    for place in range(3):
        which = draws.order[:, place : place + 1]  # (N, 1)
        images = _blend(images, which, draws.factors.gather(1, which), gray)
    return images + _lighting(draws.lighting, pixel_format)[:, :, None, None]


def _blend(images: Tensor, which: Tensor, factor: Tensor, gray: Tensor) -> Tensor:
    """Blends each image by its factor (N, 1) with black, its mean grey or its grey image."""
    grays = (images * gray.view(1, 3, 1, 1)).sum(1, keepdim=True)  # (N, 1, H, W)
    means = grays.mean((2, 3), keepdim=True)
    which, factor = which[:, :, None, None], factor[:, :, None, None]
    other = torch.where(which == _SATURATION, grays, torch.where(which == _CONTRAST, means, 0.0))
    return images * factor + (1.0 - factor) * other


def _lighting(alphas: Tensor, pixel_format: str) -> Tensor:
    """Returns (N, 3), what each channel gains, in units of 0–255."""
    vectors = _ordered(torch.tensor(EIGENVECTORS), pixel_format).to(alphas)
    values = torch.tensor(EIGENVALUES).to(alphas)
    return 255.0 * (alphas * values) @ vectors.T


def _ordered(of_rgb: Tensor, pixel_format: str) -> Tensor:
    return of_rgb.flip(0) if pixel_format == "BGR" else of_rgb
