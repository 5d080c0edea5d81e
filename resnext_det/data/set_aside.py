"""Broken images that a run goes on without, by name. Engine-neutral.

`DATASETS.MAX_BROKEN_IMAGES` says how many. In training another image takes the place of one that
is broken. In evaluation a detector finds nothing in it, and a classifier is not asked.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from resnext_det.data.opened_image import UnreadableImage
from resnext_det.errors import UserError, one_line

LIMIT_KEY = "DATASETS.MAX_BROKEN_IMAGES"

_SHOWN = 100  # images named in result.json, and in the log in all
T = TypeVar("T")
_logger = logging.getLogger(__name__)


class BrokenImage(NamedTuple):
    """An image that cannot be decoded.

    Attributes:
        name: what messages call it, its path or its place in a shard.
        reason: one line, without the name.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{one_line(self.name)}: cannot be read as an image ({one_line(self.reason)})"


def first_readable(
    places: Iterable[int],
    read: Callable[[int], T],
    name: Callable[[int], str],
    limit: int,
) -> tuple[T, tuple[BrokenImage, ...]]:
    """Returns what is read at the first place that can be, and the broken images before it.

    Args:
        places: of images in a set, in the order in which they are tried.
        read: raises UnreadableImage where an image is broken.
        name: what messages call the image at a place.
        limit: DATASETS.MAX_BROKEN_IMAGES.

    Raises:
        UserError: none can be read, or more than `limit` are broken.
    """
    broken: dict[str, BrokenImage] = {}
    for place in places:
        try:
            return read(place), tuple(broken.values())
        except UnreadableImage as error:
            broken.setdefault(name(place), BrokenImage(name(place), str(error)))
        if len(broken) > limit:
            raise too_many(next(iter(broken.values())), len(broken), limit)
    first = next(iter(broken.values()))
    raise UserError(f"{first}; nor can any other of the {len(broken)} images to train on")


def too_many(first: BrokenImage, number: int, limit: int, key: str = LIMIT_KEY) -> UserError:
    """Returns what ends a run that met more broken images than the limit, which `key` sets."""
    if limit == 0:
        return UserError(f"{first}; {key} above 0 sets such images aside")
    return UserError(
        f"{first}, the first of {number} such images; {key} is {limit}: mend or remove them, "
        "or set it higher"
    )


def _alone(item: Any) -> list[Any]:
    return [item]


class SetAsideImages:
    """Collects the broken images of a run; each counts once, however often it is met.

    A checkpoint keeps them, so that a resumed run still names those met before.

    Args:
        limit: DATASETS.MAX_BROKEN_IMAGES; one more ends the run.
        gather: hands every process's item to all, as `distributed.all_gather_objects`.
        logs: whether this process logs the images that are shared.
        key: the key or option that sets the limit, for messages.
    """

    def __init__(
        self,
        limit: int,
        gather: Callable[[Any], list[Any]] = _alone,
        *,
        logs: bool = False,
        key: str = LIMIT_KEY,
    ) -> None:
        self.limit = limit
        self._key = key
        self._gather = gather
        self._logs = logs
        self._shared = 0  # how many every process knows
        self._reasons: dict[str, str] = {}
        self._logged: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._reasons

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def has_news(self) -> bool:
        """Whether this process has met images that the others may not know."""
        return len(self._reasons) > self._shared

    def add(self, images: Iterable[BrokenImage]) -> None:
        """Takes in what this process met.

        Raises:
            UserError: they are more than the limit.
        """
        for name, reason in images:
            self._reasons.setdefault(name, reason)
        self._check()

    def unless_broken(self, name: str, read: Callable[[], T]) -> T | None:
        """Returns what is read of an image; None where it is broken, and then takes it down.

        Args:
            name: what messages call it.
            read: raises UnreadableImage where it is broken.

        Raises:
            UserError: broken images are more than the limit.
        """
        try:
            return read()
        except UnreadableImage as error:
            self.add([BrokenImage(name, str(error))])
            return None

    def share(self) -> None:
        """Tells every process what the others met, and logs it; all call it at the same time.

        Raises:
            UserError: together they are more than the limit, in all processes alike.
        """
        for reasons in self._gather(self._reasons):
            self._reasons = {**reasons, **self._reasons}
        self._shared = len(self._reasons)
        if self._logs:
            self.log_new()
        self._check()

    def log_new(self) -> None:
        """Logs the images that were not logged before, and after the first hundred their number."""
        new = [name for name in sorted(self._reasons) if name not in self._logged]
        if not new:
            return
        for name in new[: max(0, _SHOWN - len(self._logged))]:
            _logger.warning("Set aside: %s: %s", one_line(name), self._reasons[name])
        self._logged.update(new)
        _logger.warning("%d broken image(s) set aside so far", len(self))

    def check_set(self, name: str, images: Sequence[str]) -> None:
        """Checks that a set which was read whole has an image that can be read.

        Args:
            name: of the set.
            images: what messages call its images; a set without any passes.

        Raises:
            UserError: it has none.
        """
        if images and all(image in self for image in images):
            raise UserError(
                f"data set '{name}': none of its images can be read; the first is "
                f"{one_line(images[0])} ({one_line(self._reasons[images[0]])})"
            )

    def summary(self) -> dict[str, Any]:
        """Returns what result.json says: how many, and the first hundred by name, in order."""
        shown = sorted(self._reasons)[:_SHOWN]
        images = [{"name": name, "reason": self._reasons[name]} for name in shown]
        return {"count": len(self), "images": images}

    def state_dict(self) -> dict[str, Any]:
        """Returns every process's images, for the checkpoint; all call it at the same time."""
        self.share()
        return {"reasons": dict(sorted(self._reasons.items()))}

    def _check(self) -> None:
        if len(self) > self.limit:
            first = BrokenImage(*min(self._reasons.items()))
            raise too_many(first, len(self), self.limit, self._key)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the images of a checkpoint; they were logged when they were met.

        Raises:
            UserError: the checkpoint holds something else, or more than the limit.
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
        self._check()
