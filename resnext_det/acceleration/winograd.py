"""3x3 convolutions with a quarter of the multiplications, in float32 on the CPU. Engine-neutral.

Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308, section 4.3): a tile of
4x4 outputs is A^T [(G g G^T) * (B^T d B)] A, of a tile d of 6x6 inputs and a filter g, 36
multiplications instead of 144. Summed over channels the products are 36 matrix products. oneDNN
has no such kernel for this processor.

The rounding error grows threefold, from 6e-7 to 2e-6 of the values' size with 256 channels; in
bfloat16 it would be 2e-2, so that it is for float32 alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resnext_det.acceleration.fused_conv import FusedConv

TILE, PATCH = 4, 6
MIN_CHANNELS = 128
MIN_PIXELS = 6400
"""Smaller layers and maps gain nothing."""
_TILES_AT_ONCE = 400  # whose intermediates stay in the processor's cache

_B_T = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_A_T = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def is_suited(conv: FusedConv) -> bool:
    """Tells whether a convolution is one that Winograd's filtering computes, and large enough."""
    return (
        tuple(conv.weight.shape[2:]) == (3, 3)
        and conv.stride == conv.dilation == conv.padding == [1, 1]
        and conv.groups == 1
        and min(conv.weight.shape[:2]) >= MIN_CHANNELS
    )


class WinogradConv(nn.Module):
    """What `FusedConv` computes; small maps, and those with a residual, are left to it.

    Args:
        conv: that `is_suited`, in float32.
    """

    def __init__(self, conv: FusedConv) -> None:
        super().__init__()
        self.direct = conv
        g, b_t, a_t = (torch.tensor(rows, dtype=torch.float64) for rows in (_G, _B_T, _A_T))
        weight = conv.weight.double()
        filters = torch.einsum("ai,bj,ocij->abco", g, g, weight)  # (6, 6, C, O)
        self.register_buffer("filters", filters.flatten(0, 1).float().contiguous())
        # Of a tile whose rows follow one another in one vector: B^T d B and A^T m A.
        self.register_buffer("into", torch.kron(b_t, b_t).float())  # (36, 36)
        self.register_buffer("out_of", torch.kron(a_t, a_t).float())  # (16, 36)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Maps (N, C, H, W) to (N, O, H, W); see `FusedConv.forward`."""
        height, width = x.shape[2:]
        in_tiles = height % TILE == width % TILE == 0 and height * width >= MIN_PIXELS
        in_pixels = x.is_contiguous(memory_format=torch.channels_last)
        if residual is not None or not (in_tiles and in_pixels):
            return self.direct(x, residual)
        images = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # (N, H + 2, W + 2, C)
        result = x.new_empty(len(x), height, width, self.get_buffer("filters").shape[2])
        columns = width // TILE
        step = max(_TILES_AT_ONCE // columns, 1)
        for image, out in zip(images, result, strict=True):
            for row in range(0, height // TILE, step):
                some = out[row * TILE : (row + step) * TILE]
                # (16, rows * columns, O) -> (4, 4, rows, columns, O) -> (rows, 4, columns, 4, O)
                tiles = self._rows(image, row, len(some) // TILE, columns)
                tiles = tiles.unflatten(1, (-1, columns)).unflatten(0, (TILE, TILE))
                some.view(-1, TILE, columns, TILE, some.shape[2]).copy_(
                    tiles.permute(2, 0, 3, 1, 4)
                )
        return result.permute(0, 3, 1, 2)

    def _rows(self, image: Tensor, row: int, rows: int, columns: int) -> Tensor:
        """Computes some rows of tiles: (16, rows * columns, O), the outputs of each in order.

        Args:
            image: (H + 2, W + 2, C).
            row: of tiles, the first one.
            rows: how many.
            columns: tiles in a row.
        """
        _, width, channels = image.shape
        line = width * channels
        patches = image.as_strided(
            (PATCH, PATCH, rows, columns, channels),
            (line, channels, TILE * line, TILE * channels, 1),
            image.storage_offset() + row * TILE * line,
        ).reshape(PATCH**2, -1)
        inputs = torch.mm(self.get_buffer("into"), patches).unflatten(1, (-1, channels))
        products = torch.bmm(inputs, self.get_buffer("filters"))  # (36, rows * columns, O)
        tiles = torch.mm(self.get_buffer("out_of"), products.flatten(1))
        tiles = tiles.unflatten(1, (rows * columns, -1)).add_(self.direct.bias)
        return tiles.relu_() if self.direct.relu else tiles


def use_winograd(part: nn.Module) -> None:
    """Replaces the suited convolutions below a module."""
    for name, child in part.named_children():
        if isinstance(child, FusedConv) and is_suited(child):
            part.add_module(name, WinogradConv(child))
        else:
            use_winograd(child)
