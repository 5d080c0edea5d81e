"""What is known of an image after it was decoded once: digests, size, a hash. Engine-neutral.

Runs in worker processes, so nothing heavy is imported here.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from resnext_det.errors import UserError

THUMBNAIL = 16
"""Pixels of each side of the gray picture that two images are compared by."""
_HASHED = 2 * THUMBNAIL  # pixels of each side of what is hashed
_LOW = 8  # frequencies of each axis that are: 64 bits
_FLAT = 4.0  # gray levels; below this standard deviation a hash tells noise


@dataclass(frozen=True)
class Decoded:
    """An image as a run sees it.

    Attributes:
        data: the bytes of its file.
        picture: RGB, upright.
        orientation: of its EXIF block, 1 … 8.
    """

    data: bytes
    picture: Image.Image
    orientation: int = 1


class ImageReader(Protocol):
    """The images of a set, by number; it is pickled for worker processes."""

    def __len__(self) -> int:
        """Returns how many there are."""
        ...

    def decode(self, index: int) -> Decoded:
        """Reads and decodes one, as a run does.

        Raises:
            FileNotFoundError: it is not there.
            UserError: it cannot be read; the message may begin with the image's name.
        """
        ...


@dataclass(frozen=True)
class ImageFacts:
    """One image.

    Attributes:
        error: why it could not be decoded, without its name; empty where it could. The others
            mean something only then.
        missing: whether there is no such file.
        height: of the upright image.
        width: of the upright image.
        orientation: of its EXIF block, 1 … 8.
        file_digest: SHA-256 of its file.
        pixel_digest: SHA-256 of its size and RGB pixels.
        hash: 64 bits that nearly equal pictures share most of (see `perceptual_hash`).
        thumbnail: `THUMBNAIL`² gray levels, row by row; empty where the picture is flat.
    """

    error: str = ""
    missing: bool = False
    height: int = 0
    width: int = 0
    orientation: int = 1
    file_digest: bytes = b""
    pixel_digest: bytes = b""
    hash: int = 0
    thumbnail: bytes = b""


def look_at(reader: ImageReader, index: int) -> ImageFacts:
    """Decodes an image and returns what is known of it; nothing is raised for a broken one."""
    try:
        decoded = reader.decode(index)
    except FileNotFoundError:
        return ImageFacts(error="no such file", missing=True)
    except UserError as error:
        return ImageFacts(error=str(error))
    except MemoryError:
        return ImageFacts(error="it takes more memory than there is")
    picture = decoded.picture
    digest = hashlib.sha256(f"{picture.width}x{picture.height} ".encode())
    digest.update(np.asarray(picture).data)
    hashed, thumbnail = perceptual_hash(picture)
    return ImageFacts(
        height=picture.height,
        width=picture.width,
        orientation=decoded.orientation,
        file_digest=hashlib.sha256(decoded.data).digest(),
        pixel_digest=digest.digest(),
        hash=hashed,
        thumbnail=thumbnail,
    )


def perceptual_hash(picture: Image.Image) -> tuple[int, bytes]:
    """Returns a hash that small changes of a picture change few bits of, and a thumbnail.

    The 8x8 lowest frequencies of the cosine transform of a gray 32x32 reduction, each above the
    median or not (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    2010, section 3.2.1, without its mean filter: the reduction already averages).

    Args:
        picture: RGB.

    Returns:
        64 bits, and the 16x16 gray levels; 0 and b"" of a flat picture, whose bits are noise.
    """
    gray = picture.convert("L").resize((_HASHED, _HASHED), Image.Resampling.BILINEAR)
    levels = np.asarray(gray, dtype=np.float64)
    if levels.std() < _FLAT:
        return 0, b""
    low = np.asarray(dctn(levels, norm="ortho"))[:_LOW, :_LOW].ravel()
    bits = np.packbits(low > np.median(low))
    return int.from_bytes(bits.tobytes(), "big"), _halved(levels).tobytes()


def _halved(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    blocks = levels.reshape(THUMBNAIL, 2, THUMBNAIL, 2)  # (row, in it, column, in it)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)
