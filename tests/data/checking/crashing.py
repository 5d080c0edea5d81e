"""A reader one of whose images ends the process, as a crashing decoder does."""

import os
from dataclasses import dataclass

from PIL import Image

from resnext_det.data.checking.image_facts import Decoded


@dataclass(frozen=True)
class CrashingReader:
    """`count` images of one colour each; decoding number `crash` ends the process."""

    count: int
    crash: int

    def __len__(self) -> int:
        return self.count

    def decode(self, index: int) -> Decoded:
        """Returns an image, or does not return."""
        if index == self.crash:
            os._exit(11)
        return Decoded(bytes([index]), Image.new("RGB", (2, 3), (index, 0, 0)))
