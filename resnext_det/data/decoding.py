"""Decoders of classification images, by name. Engine-neutral.

| name | what it does |
|---|---|
| exact | decodes the whole image with Pillow; torchvision's PIL transforms, to the bit |
| fast | decodes of a JPEG what its view needs, scaled where the view allows; else as exact |
"""

from PIL import Image

from resnext_det.data.exact_decoding import ExactDecoder
from resnext_det.data.fast_decoding import FastDecoder
from resnext_det.data.opened_image import Decoder, OpenedImage, UnreadableImage

__all__ = ["DECODERS", "INTERPOLATIONS", "Decoder", "OpenedImage", "UnreadableImage"]
__all__ += ["build_decoder"]

DECODERS = ("exact", "fast")
INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def build_decoder(name: str, interpolation: str) -> Decoder:
    """Builds a decoder.

    Args:
        name: one of DECODERS.
        interpolation: one of INTERPOLATIONS; both with antialiasing, as Pillow's.

    Raises:
        ValueError: there is no such decoder or interpolation.
    """
    if name not in DECODERS:
        raise ValueError(f"no decoder '{name}'; there are {', '.join(DECODERS)}")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"no interpolation '{interpolation}'; there are {', '.join(INTERPOLATIONS)}"
        )
    exact = ExactDecoder(INTERPOLATIONS[interpolation])
    return exact if name == "exact" else FastDecoder(exact)
