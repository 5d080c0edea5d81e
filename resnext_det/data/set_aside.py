"""Broken images that a run goes on without, by name. Engine-neutral."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from resnext_det.errors import UserError, one_line

_SHOWN = 100  # images named in result.json, and in the log in all
_logger = logging.getLogger(__name__)


class BrokenImage(NamedTuple):
    """An image that cannot be decoded.

    Attributes:
        name: what messages call it, its path or its place in a shard.
        reason: one line, without the name.
    """

    name: str
    reason: str

    def refusal(self) -> UserError:
        """Returns what ends a run that sets nothing aside."""
        return UserError(
            f"{self.name}: cannot be read as an image ({self.reason}); "
            "INPUT.CLASSIFICATION.SKIP_BROKEN True sets such images aside"
        )


def _alone(item: Any) -> list[Any]:
    return [item]


class SetAsideImages:
    """Collects the broken images of a run; each counts once, however often it is met.

    A checkpoint keeps them, so that a resumed run still names those met before.

    Args:
        gather: hands every process's item to all, as `distributed.all_gather_objects`.
    """

    def __init__(self, gather: Callable[[Any], list[Any]] = _alone) -> None:
        self._gather = gather
        self._reasons: dict[str, str] = {}
        self._logged: set[str] = set()

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, images: Iterable[BrokenImage]) -> None:
        """Takes in what this process met."""
        for name, reason in images:
            self._reasons.setdefault(name, reason)

    def share(self) -> None:
        """Tells every process what the others met; all call it at the same time."""
        for reasons in self._gather(self._reasons):
            self._reasons = {**reasons, **self._reasons}

    def log_new(self) -> None:
        """Logs the images that were not logged before, and after the first hundred their number."""
        new = [name for name in sorted(self._reasons) if name not in self._logged]
        if not new:
            return
        for name in new[: max(0, _SHOWN - len(self._logged))]:
            _logger.warning("Set aside: %s: %s", one_line(name), self._reasons[name])
        self._logged.update(new)
        _logger.warning("%d broken image(s) set aside so far", len(self))

    def all_broken(self) -> str:
        """Returns the end of a message on a set of which no image can be read."""
        name, reason = next(iter(sorted(self._reasons.items())))
        return f"none of its images can be read; the first is {name} ({reason})"

    def summary(self) -> dict[str, Any]:
        """Returns what result.json says: how many, and the first hundred by name, in order."""
        shown = sorted(self._reasons)[:_SHOWN]
        images = [{"name": name, "reason": self._reasons[name]} for name in shown]
        return {"count": len(self), "images": images}

    def state_dict(self) -> dict[str, Any]:
        """Returns every process's images, for the checkpoint; all call it at the same time."""
        self.share()
        return {"reasons": dict(sorted(self._reasons.items()))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the images of a checkpoint; they were logged when they were met.

        Raises:
            UserError: the checkpoint holds something else.
        """
        reasons = state.get("reasons") if isinstance(state, Mapping) else None
        if not isinstance(reasons, Mapping) or not all(
            isinstance(text, str) for pair in reasons.items() for text in pair
        ):
            raise UserError(
                "the checkpoint's list of broken images, its entry set_aside, is damaged: go on "
                "from an earlier checkpoint"
            )
        self._reasons = {**reasons, **self._reasons}
        self._logged.update(reasons)
