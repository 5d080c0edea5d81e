"""What a network is called on the command line: a variant or a config. Engine-neutral."""

from collections.abc import Sequence

from resnext_det.config.sources import SCHEME, find_config
from resnext_det.modeling.variants import get_variant


def is_config(name: str) -> bool:
    """Tells the name of a config file from that of a variant."""
    return name.startswith(SCHEME) or name.endswith((".yaml", ".yml"))


def check_networks(names: Sequence[str]) -> None:
    """Checks that there are networks of these names; no config is read.

    Raises:
        UserError: if one is no variant and no config.
    """
    for name in names:
        if is_config(name):
            find_config(name)
        else:
            get_variant(name)
