"""Whether this Pillow writes and reads AVIF, which older ones do not."""

import pytest
from PIL import Image

Image.init()
needs_avif = pytest.mark.skipif(
    not {"AVIF"} <= Image.OPEN.keys() & Image.SAVE.keys(), reason="this Pillow knows no AVIF"
)
