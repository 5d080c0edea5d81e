"""What is exported resizes as Pillow does, to the bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from resnext_det.data.transforms import ResizeShortestEdge
from resnext_det.export.resize import ResizeAndPad

# Short edge, longest edge; height and width.
CASES = [
    (80, 133, 48, 64),
    (160, 300, 97, 64),
    (100, 160, 300, 225),
    (111, 500, 167, 250),
    (128, 300, 64, 64),
    (100, 300, 100, 100),
    (0, 0, 33, 47),
    (64, 100, 37, 301),
    (333, 640, 65, 41),
    (40, 60, 640, 480),
]


def resize(short: int, most: int, size: tuple[int, int] | None = None) -> ResizeAndPad:
    zero = torch.zeros(3, 1, 1)
    return ResizeAndPad(
        short=short,
        max_size=most,
        divisor=32,
        bgr=False,
        pixel_mean=zero,
        pixel_std=zero + 1,
        size=size,
    )


@pytest.mark.parametrize("known", [False, True], ids=["any size", "fixed"])
@pytest.mark.parametrize(("short", "most", "height", "width"), CASES)
def test_equals_pillow(short: int, most: int, height: int, width: int, known: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rows, columns = ResizeShortestEdge((short,), most).output_size(height, width, short)
    by_pillow = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)
    module = resize(short, most, (height, width) if known else None)
    resized, new, old = module(torch.from_numpy(pixels)[None])
    assert new.tolist() == [rows, columns]
    assert old.tolist() == [height, width]
    padded = np.zeros((-(-rows // 32) * 32, -(-columns // 32) * 32, 3), np.float32)
    padded[:rows, :columns] = np.asarray(by_pillow)
    assert np.array_equal(resized[0].permute(1, 2, 0).numpy(), padded)


def test_tall_images_differ_by_rounding() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 64, 3), dtype=np.uint8)
    resized, new, _ = resize(64, 128)(torch.from_numpy(pixels)[None])
    assert new.tolist() == [128, 27]
    expected = np.asarray(Image.fromarray(pixels).resize((27, 128), Image.Resampling.BILINEAR))
    found = resized[0, :, :128, :27].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() <= 1


def test_sizes_are_those_of_the_evaluation() -> None:
    random = np.random.default_rng(1)
    module = resize(800, 1333)
    edge = ResizeShortestEdge((800,), 1333)
    for height, width in [*random.integers(20, 4000, (300, 2)).tolist(), [1, 9000]]:
        expected = edge.output_size(height, width, 800)
        assert tuple(module.output_size(torch.tensor([height, width])).tolist()) == expected


def test_normalises_in_the_order_of_the_detector_and_pads_with_zeros() -> None:
    module = ResizeAndPad(
        short=0,
        max_size=0,
        divisor=4,
        bgr=True,
        pixel_mean=torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1),
        pixel_std=torch.tensor([1.0, 2.0, 4.0]).view(3, 1, 1),
    )
    pixels = torch.tensor([11, 22, 33], dtype=torch.uint8).expand(2, 3, 5, 3)
    normal, _, _ = module(pixels)
    assert normal.shape == (2, 3, 4, 8)
    assert torch.equal(normal[:, :, :3, :5].amax((0, 2, 3)), torch.tensor([32.0, 10.0, 2.0]))
    assert float(normal[:, :, 3:].abs().max()) == 0
    assert float(normal[..., 5:].abs().max()) == 0
