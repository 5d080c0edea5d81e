"""The setting that a detector is run with, and how it is written. Engine-neutral.

In words: a precision and any of the switches, "bfloat16 channels_last fold_norms"; "exact" is
float32 without any of them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from resnext_det.errors import UserError, few

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
EXACTLY = "exact"


@dataclass(frozen=True)
class Acceleration:
    """How the same weights are computed with: the same boxes but for rounding.

    Attributes:
        precision: of weights and features; boxes, scores and suppression stay float32.
        channels_last: features lie in memory pixel by pixel instead of channel by channel.
        fold_norms: BatchNorm is folded into the convolution before it, and ReLU and the
            residual sum are computed with the convolution where the device can.
        fast_pooling: RoIAlign on all cores of the CPU, as weighted sums of pixels; on a GPU by a
            Triton kernel that reads the features as they lie.
        winograd: large 3x3 convolutions in float32 on the CPU with a quarter of the
            multiplications; wants channels_last and fold_norms.
        keep_memory: the C library keeps freed memory for the next image, in the whole process.
        compile: torch.compile writes code for the backbone; starting takes a minute or so.
        fast_suppression: suppression of proposals without a walk on one thread of the GPU; of
            training alone, for in inference cuda_graphs has it.
        sampled_anchors: the RPN's gradients from its sampled anchors alone; of training.
        cuda_graphs: the GPU's work for each size of image is recorded once and replayed.
    """

    precision: Precision = "float32"
    channels_last: bool = False
    fold_norms: bool = False
    fast_pooling: bool = False
    winograd: bool = False
    keep_memory: bool = False
    compile: bool = False
    fast_suppression: bool = False
    sampled_anchors: bool = False
    cuda_graphs: bool = False

    def words(self) -> str:
        """Returns the setting in words, which `acceleration_of_words` reads."""
        switches = [name for name in SWITCHES if getattr(self, name)]
        if self == EXACT:
            return EXACTLY
        return " ".join([self.precision, *switches])

    def to_dict(self) -> dict[str, Any]:
        """Returns all values by name, for a JSON file."""
        return asdict(self)


SWITCHES = tuple(field.name for field in fields(Acceleration) if field.name != "precision")
TRAINING_ALONE = ("fast_suppression", "sampled_anchors")
"""Switches that inference has no use for."""
OF_INFERENCE = tuple(name for name in SWITCHES if name not in TRAINING_ALONE)
EXACT = Acceleration()
"""As `train_net.py --eval-only` computes."""


def acceleration_of_dict(values: Mapping[str, Any], source: str) -> Acceleration:
    """Reads what `Acceleration.to_dict` gave; what is not there keeps its default.

    Args:
        values: by name.
        source: what the message begins with, a file's name for one.

    Raises:
        UserError: a name is unknown, or a value is none that it can have.
    """
    for name, value in values.items():
        if name == "precision":
            if value not in PRECISIONS:
                raise UserError(f"{source}: precision {value!r}: give {' or '.join(PRECISIONS)}")
        elif name not in SWITCHES:
            raise UserError(f"{source}: {name!r} is not known: there are {_known(SWITCHES)}")
        elif not isinstance(value, bool):
            raise UserError(f"{source}: {name} is {value!r}: give true or false")
    return Acceleration(**values)


def acceleration_of_words(
    words: str, option: str = "--acceleration", listed: Iterable[str] = SWITCHES
) -> Acceleration:
    """Reads a setting in words, with blanks, commas or + between them, in any order.

    Args:
        words: see this module; a precision that is not given is float32.
        option: what the message begins with.
        listed: the switches that the message names.

    Raises:
        UserError: a word is unknown, there is none, or two contradict each other.
    """
    given = [word for word in re.split(r"[\s,+]+", words) if word]
    known = _known((EXACTLY, *PRECISIONS, *listed))
    if not given:
        raise UserError(f"{option} is empty: give {known}")
    if EXACTLY in given:
        if len(given) > 1:
            raise UserError(f"{option} {words!r}: {EXACTLY} stands alone")
        return EXACT
    for word in given:
        if word not in (*PRECISIONS, *SWITCHES):
            raise UserError(f"{option} {word!r}: not known: there are {known}")
    precisions = dict.fromkeys(word for word in given if word in PRECISIONS)
    if len(precisions) > 1:
        raise UserError(f"{option} {words!r}: names {' and '.join(precisions)}: give one precision")
    switches = {word: True for word in given if word in SWITCHES}
    return acceleration_of_dict({"precision": next(iter(precisions), "float32")} | switches, option)


def check_for_inference(setting: Acceleration) -> None:
    """Checks that a setting says nothing of training.

    Raises:
        UserError: it has a switch that inference has no use for.
    """
    for word in TRAINING_ALONE:
        if getattr(setting, word):
            raise UserError(
                f"acceleration {setting.words()!r}: {word} is of training alone: leave it out"
            )


def _known(names: tuple[str, ...]) -> str:
    return few(names, len(names))
