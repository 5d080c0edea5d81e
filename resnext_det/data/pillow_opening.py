"""Images opened by Pillow, whatever they are: known formats, a bound, one line. Engine-neutral.

Every reader opens with `open_still`, inside `readable`. Pillow's own settings for all its users,
`MAX_IMAGE_PIXELS` and `LOAD_TRUNCATED_IMAGES`, are left as they are.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from resnext_det.data.avif_boxes import without_exif
from resnext_det.data.jpeg_segments import check_segments
from resnext_det.data.opened_image import UnreadableImage, check_image_size
from resnext_det.data.tiff_directories import check_directory

# Formats of still pictures that Pillow opens by their headers alone. It knows others: some start a
# program (EPS), some decode while they are opened (ICO, ICNS), before their size can be checked.
_FORMATS = [
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "PPM",
    "WEBP",
    "TIFF",
    "MPO",
    "JPEG2000",
    "AVIF",
    "TGA",
    "PCX",
    "QOI",
    "DIB",
]


def open_still(file: BinaryIO) -> Image.Image:
    """Reads the header of an image, whatever its format; of several pictures the first.

    Args:
        file: stays open as long as the image is to be decoded.

    Raises:
        UnreadableImage: it is empty, claims too many pixels, or none, or has a header of far too
            many parts, or a tag of far too many numbers. Pillow raises much else.
    """
    if not file.read(1):
        raise UnreadableImage("the file is empty")
    file.seek(0)
    check_directory(file)
    check_segments(file)
    image = Image.open(without_exif(file), formats=_known_formats())
    check_image_size(image.height, image.width)
    return image


@contextmanager
def readable() -> Iterator[None]:
    """Says in one line whatever goes wrong while Pillow reads, and silences its warnings.

    Sizes are checked here, a broken EXIF block does no harm, and one warning for each odd image
    would flood a log.

    Raises:
        UnreadableImage: anything went wrong with the image.
        OSError: the system could not read on.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnreadableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image in a format that can be read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("its header claims far too many pixels") from error
    # Pillow's decoders raise whatever the damage makes them stumble on.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # Pillow's own have no number
            raise
        raise UnreadableImage(" ".join(str(error).split()) or type(error).__name__) from error


@cache
def _known_formats() -> list[str]:
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]
