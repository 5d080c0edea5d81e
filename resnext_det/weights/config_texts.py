"""The text of a config that a weights file holds, read as a stranger's. Engine-neutral.

PyYAML's safe loader runs nothing, but it can be kept busy for ages, by keys that are merged from
each other again and again, and damage makes it raise whatever it stumbles on.
"""

from typing import Any

import yaml

_MOST_CHARACTERS = 100_000  # some seconds; real ones have 2,000 to 20,000


class _Loader(yaml.SafeLoader):
    """Merges nothing: `<<` is then a key that has no value here, and no config has it."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leaves the keys as they stand."""


def compose_config(text: str) -> yaml.Node | None:
    """Returns a config's nodes, no tag of which has been obeyed; None where it is no YAML."""
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except Exception:  # besides YAMLError: RecursionError, and OverflowError of chr()
        return None


def read_config(text: Any) -> Any:
    """Returns what a config says, plain data; None where it is no text or no YAML.

    What is referred to twice in it is one object in two places, not two.
    """
    if not isinstance(text, str) or len(text) > _MOST_CHARACTERS:
        return None
    try:
        return yaml.load(text, Loader=_Loader)
    except Exception:  # likewise, and IndexError, KeyError, AttributeError of odd scalars
        return None


def three_numbers(value: Any) -> tuple[float, float, float]:
    """Returns three finite numbers, one for each channel.

    Raises:
        ValueError: they are something else.
    """
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError("no three numbers")
    if not all(type(item) in (int, float) and abs(item) < 1e6 for item in value):
        raise ValueError("no three numbers")
    first, second, third = map(float, value)
    return first, second, third
