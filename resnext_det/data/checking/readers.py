"""How a check decodes images: as the run on them does. Engine-neutral."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from resnext_det.data.checking.image_facts import Decoded
from resnext_det.data.classification_set import ImageSource
from resnext_det.data.exact_decoding import ExactDecoder
from resnext_det.data.image_files import open_rgb
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.packed import PackedList
from resnext_det.data.pillow_opening import open_still, readable
from resnext_det.data.plain_files import read_image_file
from resnext_det.errors import UserError

NOT_OPENED = "its name leaves the image folder, so it is not opened"
_ORIENTATION = 274  # EXIF's tag


@dataclass(frozen=True)
class FileReader:
    """Image files, decoded as a detector's input is.

    Attributes:
        paths: of the N images; "" for one that must not be opened.
    """

    paths: PackedList[str]

    def __len__(self) -> int:
        return len(self.paths)

    def decode(self, index: int) -> Decoded:
        """Reads and decodes one; see `ImageReader`.

        Raises:
            FileNotFoundError: it is not there.
            UserError: it cannot be read.
        """
        path = self.paths[index]
        if not path:
            raise UserError(NOT_OPENED)
        data = _read(path)
        try:
            return Decoded(data, open_rgb(path), _orientation(data))
        except UnreadableImage as error:
            raise UserError(f"cannot be read as an image ({error})") from error
        except UserError as error:
            raise UserError(_without_name(str(error), path)) from error


@dataclass(frozen=True)
class SourceReader:
    """Images of a classification set, decoded as a classifier's input is.

    Attributes:
        source: the images.
    """

    source: ImageSource

    def __len__(self) -> int:
        return len(self.source)

    def decode(self, index: int) -> Decoded:
        """Reads and decodes one; see `ImageReader`.

        Raises:
            UserError: it cannot be read.
        """
        name = self.source.name(index)
        try:
            data = self.source.read(index).data
            return Decoded(data, decode_whole(data), _orientation(data))
        except UserError as error:
            raise UserError(_without_name(str(error), name)) from error
        except UnreadableImage as error:
            raise UserError(str(error)) from error


def decode_whole(data: bytes) -> Image.Image:
    """Decodes a whole image of a classification set, upright and RGB.

    Raises:
        UnreadableImage: it is no image, too large, broken or cut off.
    """
    return ExactDecoder(Image.Resampling.BILINEAR).open(data).decode()


def _read(path: str) -> bytes:
    try:
        return read_image_file(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})") from error


def _orientation(data: bytes) -> int:
    """Returns the EXIF orientation, 1 where there is none that means something."""
    try:
        with readable(), open_still(BytesIO(data)) as image:
            found = image.getexif().get(_ORIENTATION, 1)
    except UnreadableImage:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _without_name(message: str, name: str) -> str:
    return message.removeprefix(f"{name}:").strip()
