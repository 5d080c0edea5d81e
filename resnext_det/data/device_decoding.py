"""Decoding of a batch of JPEGs on a GPU, by nvJPEG through torchvision. Engine-neutral.

Upright JPEGs in gray or in three colours are decoded, cut and resized on the device; everything
else on the host, exactly. nvJPEG's inverse cosine transform and its spreading of chroma are not
libjpeg's, and it does not refuse every file that Pillow does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from resnext_det.data.decoding import INTERPOLATIONS
from resnext_det.data.exact_decoding import ExactDecoder, ExactImage
from resnext_det.data.opened_image import Color, check_view, overlap
from resnext_det.data.views import View


def decode_on_device(
    images: Sequence[bytes],
    views: Sequence[View],
    device: torch.device | str,
    *,
    interpolation: str = "bilinear",
    fill: Color = (0, 0, 0),
) -> Tensor:
    """Decodes what a batch's views show.

    Args:
        images: N image files.
        views: one for each; all have V windows of h x w pixels.
        device: where to decode; "cpu" does the same with libjpeg.
        interpolation: "bilinear" or "bicubic", both with antialiasing.
        fill: RGB of what a window shows beyond the resized part.

    Returns:
        (N * V, 3, h, w) uint8 RGB on the device, the windows of an image one after another.

    Raises:
        UnreadableImage: an image cannot be decoded, or a view is too large.
    """
    device = torch.device(device)
    decoder = ExactDecoder(INTERPOLATIONS[interpolation])
    opened = [decoder.open(data) for data in images]
    for view in views:
        check_view(view)
    plain = [place for place, image in enumerate(opened) if _is_plain_jpeg(image)]
    decoded = dict(zip(plain, _decode_jpegs([images[i] for i in plain], device), strict=False))
    pictures = []
    for place, (image, view) in enumerate(zip(opened, views, strict=True)):
        if place in decoded:
            pictures.append(_windows(decoded[place], view, InterpolationMode(interpolation), fill))
        else:
            rendered = torch.from_numpy(image.render(view, fill))
            pictures.append(rendered.permute(0, 3, 1, 2).to(device))
    if not pictures:
        return torch.zeros(0, 3, 1, 1, dtype=torch.uint8, device=device)
    return torch.cat([picture.contiguous() for picture in pictures])


def _is_plain_jpeg(image: ExactImage) -> bool:
    found = image.image
    return found.format == "JPEG" and found.mode in ("RGB", "L") and image.rotation is None


def _decode_jpegs(images: Sequence[bytes], device: torch.device) -> list[Tensor]:
    """Decodes JPEGs to (3, H, W) uint8, or none where one is broken: Pillow then says which."""
    if not images:
        return []
    encoded = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in images]
    try:
        return list(decode_jpeg(encoded, ImageReadMode.RGB, device=device))
    except RuntimeError:
        return []


def _windows(image: Tensor, view: View, mode: InterpolationMode, fill: Color) -> Tensor:
    """Cuts, resizes and cuts again: (3, H, W) -> (V, 3, h, w)."""
    top, left, height, width = view.part
    part = image[:, top : top + height, left : left + width]
    resized = functional.resize(part, list(view.resized), interpolation=mode, antialias=True)
    height, width = view.windows[0].height, view.windows[0].width
    color = torch.tensor(fill, dtype=torch.uint8, device=image.device).view(1, 3, 1, 1)
    pictures = color.repeat(len(view.windows), 1, height, width)
    for number, (window, flipped) in enumerate(zip(view.windows, view.flipped, strict=True)):
        rows, from_rows = overlap(window.top, height, view.resized[0])
        columns, from_columns = overlap(window.left, width, view.resized[1])
        pictures[number, :, rows, columns] = resized[:, from_rows, from_columns]
        if flipped:
            pictures[number] = pictures[number].flip(-1)
    return pictures
