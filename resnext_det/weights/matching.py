"""Which tensor of a file fills which of a model. Engine-neutral."""

from collections.abc import Mapping

from torch import Tensor

from resnext_det.errors import UserError


def match_names(
    model_state: Mapping[str, Tensor], file_state: Mapping[str, Tensor], source: str
) -> dict[str, str]:
    """Returns name in the model -> name in the file, by the longest common ending.

    Raises:
        UserError: a name of the file would fill two of the model's.

    Source: the rule is that of detectron2/checkpoint/c2_model_loading.py.
    """
    pairs: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in model_state:
        key = _longest_ending(name, file_state)
        if key is None:
            continue
        if key in taken:
            raise UserError(f"{source}: {key} fits both {taken[key]} and {name} of the model")
        pairs[name] = key
        taken[key] = name
    return pairs


def _longest_ending(name: str, keys: Mapping[str, Tensor]) -> str | None:
    ending = name
    while ending not in keys:
        _, dot, ending = ending.partition(".")
        if not dot:
            return None
    return ending
