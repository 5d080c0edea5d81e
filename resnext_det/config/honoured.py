"""Refuse the settings that an engine would ignore. Engine-neutral."""

from collections.abc import Collection

from fvcore.common.config import CfgNode

from resnext_det.config.tree import flatten, get_cfg
from resnext_det.errors import UserError

MAX_NAMED = 5


def changed_keys(cfg: CfgNode) -> dict[str, tuple[object, object]]:
    """Dotted key -> (value, default) for every key that is not at its default.

    Lists and tuples of equal items count as equal. A key without a default of ours (added by
    somebody else) counts as changed, with default None.
    """
    defaults = {key: _plain(value) for key, value in flatten(get_cfg())}
    changed: dict[str, tuple[object, object]] = {}
    for key, raw in flatten(cfg):
        value, default = _plain(raw), defaults.get(key)
        if key not in defaults or value != default:
            changed[key] = (value, default)
    return changed


def check_honoured(
    cfg: CfgNode,
    honoured: Collection[str],
    engine: str,
    mend: str = "remove it or choose another engine",
) -> None:
    """Check that an engine heeds every key that is not at its default.

    Args:
        cfg: the whole tree.
        honoured: dotted keys that the engine heeds.
        engine: its name, for the message.
        mend: what to do, for the message.

    Raises:
        UserError: names each ignored key (the first five) with value and default.
    """
    ignored = {k: v for k, v in changed_keys(cfg).items() if k not in honoured}
    if not ignored:
        return
    named = [
        f"{key} = {value!r} (default {default!r})"
        for key, (value, default) in sorted(ignored.items())[:MAX_NAMED]
    ]
    more = f" and {len(ignored) - MAX_NAMED} more" if len(ignored) > MAX_NAMED else ""
    raise UserError(f"the {engine} engine does not honour {', '.join(named)}{more}; {mend}")


def _plain(value: object) -> object:
    """Tuples as lists, at any depth."""
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
