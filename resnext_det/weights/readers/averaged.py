"""Averaged weights, which a checkpoint may hold beside the trained ones. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel, beside its weights
ENTRY = "averaged"  # of a FileContent's extras: where its tensors stood

_ALWAYS = ("state_dict_ema", "model_ema")  # timm's and torchvision's; timm takes them so
_BETTER = "ema_state"  # pycls'
_TOO_BAD = 100.0  # percent; pycls' own value for an error that is not there


def averaged_place(checkpoint: Mapping[str, Any]) -> str | None:
    """Returns the entry of averaged weights that the checkpoint's own library would take.

    Of timm's and torchvision's training scripts the averaged ones, as timm does
    (timm/models/_helpers.py) and as torchvision publishes them; of pycls' the better ones
    (pycls/core/checkpoint.py). mmengine has them in the usual place already.

    Args:
        checkpoint: as a reader found it.
    """
    for entry in _ALWAYS:
        if isinstance(checkpoint.get(entry), Mapping):
            return entry
    if isinstance(checkpoint.get(_BETTER), Mapping):
        trained, averaged = (_error(checkpoint.get(key)) for key in ("test_err", "ema_err"))
        return _BETTER if averaged < trained else None
    return None


def note_on_averaged(extras: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns a note where averaged weights were taken.

    Args:
        extras: of a FileContent.
    """
    entry = extras.get(ENTRY)
    if entry not in (*_ALWAYS, _BETTER):
        return ()
    return (f"its averaged weights ({entry}) are taken, as its own library does",)


def _error(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else _TOO_BAD
