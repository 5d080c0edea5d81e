"""Segment ids as colours, in the stand-in's form of panopticapi."""

import numpy as np


def id2rgb(ids):
    """(H, W) ids below 256**3 -> (H, W, 3) uint8, the lowest byte first."""
    ids = np.asarray(ids).astype(np.int64)
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)


def rgb2id(colours):
    """The inverse of `id2rgb`."""
    colours = np.asarray(colours).astype(np.int64)
    return colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
