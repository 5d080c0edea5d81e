"""Resizing to Pillow's very pixels, in tensors that can be exported. Engine-neutral."""

from typing import cast

import torch
from torch import Tensor, nn

_HALF_BITS = 2**11
"""Pillow's weights are whole numbers over 2**22 (libImaging/Resample.c, PRECISION_BITS)."""


class ResizeAndPad(nn.Module):
    """Scales the shortest edge as `ResizeShortestEdge` does, normalises, and pads with zeros.

    The pixels are those of Pillow's bilinear filter, each to the bit, with two exceptions, where
    single ones differ by 1 of 255: images that become more than 16 times smaller, since float32
    no longer holds every sum, and images that are more than about twice as tall as wide, whose
    rows Pillow resizes first.

    Args:
        short: the short edge, pixels; 0 leaves images as they are.
        max_size: the most the long edge may have, pixels.
        divisor: height and width become multiples of it.
        bgr: whether the detector's channels are blue, green, red.
        pixel_mean: (3, 1, 1), in the detector's order, of 0 … 255.
        pixel_std: likewise.
        size: (height, width) of all images; None where it is known from each image only.
    """

    pixel_mean: Tensor
    pixel_std: Tensor
    fixed: Tensor

    def __init__(
        self,
        *,
        short: int,
        max_size: int,
        divisor: int,
        bgr: bool,
        pixel_mean: Tensor,
        pixel_std: Tensor,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.short = short
        self.max_size = max_size
        self.divisor = divisor
        self.bgr = bgr
        self.register_buffer("pixel_mean", pixel_mean.clone(), persistent=False)
        self.register_buffer("pixel_std", pixel_std.clone(), persistent=False)
        # Sizes that are known now stay numbers, so that the exported graph has no dynamic shape.
        self._numbers: list[tuple[int, int]] = []
        if size is not None:
            old = torch.tensor(size)
            new = self.output_size(old)
            self.register_buffer("fixed", torch.stack([old, new]), persistent=False)
            axes = range(2)
            self._numbers = [(self._blocks(new)[k], self._span(old, new)[k]) for k in axes]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Makes images what the backbone reads.

        Args:
            images: (N, H, W, 3) uint8 RGB.

        Returns:
            (N, 3, H', W') float32; the size of the resized images without padding, (2,) float32,
            height first; and that of the images given.
        """
        old, new = self._sizes(images)
        numbers = self._numbers or self._read_numbers(old, new)
        pixels = images.permute(0, 3, 1, 2)  # (N, 3, H, W)
        pixels = _resample(pixels, old[1], new[1], *numbers[1], self.divisor)
        pixels = _resample(pixels.transpose(2, 3), old[0], new[0], *numbers[0], self.divisor)
        pixels = pixels.transpose(2, 3).contiguous()
        pixels = pixels.flip(1) if self.bgr else pixels
        rows, columns = (_inside(pixels.shape[2 + axis], new[axis]) for axis in (0, 1))
        normal = (pixels - self.pixel_mean) / self.pixel_std
        return normal * (rows[:, None] * columns), new.to(torch.float32), old.to(torch.float32)

    def output_size(self, size: Tensor) -> Tensor:
        """Returns (height, width) after scaling, the float operations being Detectron2's.

        Args:
            size: (2,) int64.

        Returns:
            (2,) int64.
        """
        if self.short == 0:
            return size
        sides = size.to(torch.float64)
        scaled = sides * (float(self.short) / sides.min())
        scaled = torch.where(sides == sides.min(), float(self.short), scaled)
        longest = scaled.max()
        shrunk = scaled * (float(self.max_size) / longest)
        new = torch.floor(torch.where(longest > self.max_size, shrunk, scaled) + 0.5).long()
        return new.clamp(min=1)

    def _sizes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self._numbers:
            return self.fixed[0], self.fixed[1]
        like = {"dtype": torch.int64, "device": images.device}
        old = torch.stack([torch.scalar_tensor(side, **like) for side in images.shape[1:3]])
        return old, self.output_size(old)

    def _blocks(self, new: Tensor) -> list[int]:
        return cast(list[int], self._block_tensor(new).tolist())

    def _block_tensor(self, new: Tensor) -> Tensor:
        """Returns how many times the divisor each padded side is."""
        return torch.div(new + (self.divisor - 1), self.divisor, rounding_mode="floor")

    def _span(self, old: Tensor, new: Tensor) -> list[int]:
        return cast(list[int], self._span_tensor(old, new).tolist())

    def _span_tensor(self, old: Tensor, new: Tensor) -> Tensor:
        """Returns how many pixels of the image a block of resized ones is made of, at most."""
        reach = (2 * self.divisor - 2) * old + 4 * torch.maximum(old, new)
        return torch.div(reach, 2 * new, rounding_mode="floor") + 3

    def _read_numbers(self, old: Tensor, new: Tensor) -> list[tuple[int, int]]:
        blocks, span = self._block_tensor(new), self._span_tensor(old, new)
        numbers = [(blocks[axis].item(), span[axis].item()) for axis in (0, 1)]
        for number in (n for pair in numbers for n in pair):
            torch._check(number >= 1)  # of sizes that are read from a tensor, export knows nothing
        return cast(list[tuple[int, int]], numbers)


def _inside(padded: int, new: Tensor) -> Tensor:
    """Returns 1 for each row or column of the resized image, 0 for those of the padding."""
    return (torch.arange(padded, device=new.device) < new).to(torch.float32)


def _resample(
    pixels: Tensor, old: Tensor, new: Tensor, blocks: int, span: int, block: int
) -> Tensor:
    """Resizes the last dimension, in blocks that each look at a span of the image.

    Args:
        pixels: (N, 3, A, old), whole numbers.
        old: their number, as a tensor.
        new: how many they become.
        blocks: of resized pixels, of which some may be padding.
        span: pixels that a block looks at.
        block: resized pixels in a block.

    Returns:
        (N, 3, A, blocks * block) float32, whole numbers of 0 … 255.
    """
    starts = 2 * block * torch.arange(blocks, device=old.device) + 1
    starts = torch.div(starts * old - 2 * torch.maximum(old, new), 2 * new, rounding_mode="floor")
    looked_at = starts.clamp(min=0)[:, None] + torch.arange(span, device=old.device)  # (B, S)
    places = torch.minimum(looked_at, old - 1).flatten()
    # (N, 3, A, old) -> (N * 3 * A, old) -> (N * 3 * A, B, S) -> (B, N * 3 * A, S)
    lines = pixels.flatten(0, 2).index_select(1, places).unflatten(1, (blocks, span))
    lines = lines.transpose(0, 1).to(torch.float32)
    high, low = _weights(looked_at, old, new, block)
    carried = torch.floor(torch.bmm(lines, low) / _HALF_BITS)
    total = torch.bmm(lines, high) + carried + _HALF_BITS / 2
    resized = torch.floor(total / _HALF_BITS)  # (B, N * 3 * A, block)
    return resized.transpose(0, 1).flatten(1).unflatten(0, pixels.shape[:3])


def _weights(looked_at: Tensor, old: Tensor, new: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Returns the upper and the lower half of Pillow's weights, (B, S, block) float32 each.

    Resized pixel j lies at (j + 1/2) old / new, and a triangle is max(old / new, 1) wide to
    either side. All is multiplied here by 2 new, which makes whole numbers of it. A weight is its
    share of their sum times 2**22, rounded: the two steps of a long division.
    """
    blocks = looked_at.shape[0]
    resized = torch.arange(blocks * block, device=old.device).unflatten(0, (blocks, 1, block))
    distance = ((2 * resized + 1) * old - (2 * looked_at[:, :, None] + 1) * new).abs()
    triangle = (2 * torch.maximum(old, new) - distance).clamp(min=0)
    there = (looked_at < old)[:, :, None] & (resized < new)
    triangle = torch.where(there, triangle, 0)
    total = triangle.sum(1, keepdim=True).clamp(min=1)
    high = torch.div(triangle * _HALF_BITS, total, rounding_mode="floor")
    rest = triangle * _HALF_BITS - high * total
    low = torch.div(2 * _HALF_BITS * rest + total, 2 * total, rounding_mode="floor")
    return high.to(torch.float32), low.to(torch.float32)
