"""What may be a key of a dictionary that a file holds. Engine-neutral."""

from typing import Any

from resnext_det.inert_pickle.vocabulary import Refused, shown

ATOMS = (str, bytes, int, float, bool, type(None))
_LONGEST_KEY = 4096  # two long keys, compared again and again, would take ages


def check_key(value: Any) -> Any:
    """Returns a key, or an item of a set, that is quick to hash and to compare.

    A tuple that holds one tuple many times over, a number of a million digits and numbers that
    share one hash take ages; texts are hashed with a secret.

    Raises:
        Refused: it is none.
    """
    if isinstance(value, str | bytes):
        if len(value) > _LONGEST_KEY:
            raise Refused(f"not plain data: a key of {len(value):,} characters is refused")
    elif type(value) is int:
        if not -(1 << 63) <= value < 1 << 64:
            raise Refused("not plain data: a key of more than 64 bits is refused")
    elif type(value) is tuple and 0 < len(value) <= 8 and all(type(part) is str for part in value):
        for part in value:
            check_key(part)
    elif not isinstance(value, ATOMS):
        raise Refused(f"not plain data: {shown(value)} as a key is refused")
    return value


def add_pairs(target: dict[Any, Any], values: list[Any]) -> None:
    """Adds keys and values, in turn, to a dictionary.

    Raises:
        Refused: a key comes twice, which no dictionary's pickle has, or is none.
    """
    for key, value in zip(values[::2], values[1::2], strict=True):
        if check_key(key) in target:
            raise Refused(f"damaged: the key '{str(key)[:80]}' comes twice")
        target[key] = value
