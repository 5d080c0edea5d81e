"""Steps timed in alternation: each option alone, one upon another, and beside others' nets.

Engine-neutral.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from projects.TrainingSpeed.contestants import NETS, OURS, Contestant, Work
from projects.TrainingSpeed.options import OPTIONS, PLAIN, Setting, add
from projects.TrainingSpeed.workers import Workers
from resnext_det.timing.alternation import Rounds, alternate
from resnext_det.timing.intervals import median_interval, ratio

Comparison = dict[str, Any]
PLAIN_NAME, SO_FAR = "plain", "so far"


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: of each comparison.
        warm_up: steps of each contestant before them.
        without: names of OPTIONS that are left out.
    """

    rounds: int
    warm_up: int = 2
    without: Sequence[str] = ()

    @property
    def options(self) -> list[str]:
        """Names of the options to try."""
        return [name for name in OPTIONS if name not in self.without]


def compare(
    contestants: Mapping[str, Contestant], against: str, work: Work, effort: Effort
) -> Comparison:
    """Times contestants in alternation.

    Args:
        contestants: by name.
        against: the name of the one that the others are divided by.
        work: size of a step.
        effort: how long.

    Returns:
        What was compared, `skipped` with reasons, the `rounds` and what follows from them; see
        `summary`.
    """
    with Workers(contestants, work, effort.warm_up) as workers:
        # One that is left alone has nothing to be compared with.
        count = effort.rounds if len(workers.steps) > 1 else 0
        rounds = alternate(workers.steps, count, cuda=work.device == "cuda")
        skipped = dict(workers.skipped)
    return {
        "contestants": {n: {"net": c.net, **c.setting.changed()} for n, c in contestants.items()},
        "against": against,
        "skipped": skipped,
        "clocks": summary(rounds, against, work.batch),
        "rounds": rounds,
    }


def summary(rounds: Rounds, against: str, batch: int) -> dict[str, Any]:
    """Returns clock -> name -> `images_per_second` and `speed` by that of `against`.

    Both are medians over the rounds with 95 % intervals; a speed above 1 is faster.
    """
    return {
        clock: {
            name: {
                "images_per_second": asdict(median_interval([batch / r[name] for r in found])),
                "speed": asdict(ratio(found, against, name)) if against in found[0] else None,
            }
            for name in found[0]
        }
        for clock, found in rounds.items()
        if found
    }


def each_alone(work: Work, effort: Effort) -> Comparison:
    """Compares our ResNeXt-50 under each option alone with the plain one."""
    settings = {PLAIN_NAME: PLAIN, **{name: add(PLAIN, name) for name in effort.options}}
    contestants = {name: Contestant(OURS, setting) for name, setting in settings.items()}
    return compare(contestants, PLAIN_NAME, work, effort)


def one_upon_another(work: Work, effort: Effort) -> tuple[list[Comparison], Setting]:
    """Adds option after option to our ResNeXt-50, and keeps those that make it faster.

    Returns:
        A comparison for each option, with `kept`; and the setting of all that were kept.
    """
    setting, found = PLAIN, []
    for name in effort.options:
        tried = add(setting, name)
        contestants = {SO_FAR: Contestant(OURS, setting), name: Contestant(OURS, tried)}
        comparison = compare(contestants, SO_FAR, work, effort)
        comparison["kept"] = is_faster(comparison, name)
        found.append(comparison)
        setting = tried if comparison["kept"] else setting
    return found, setting


def is_faster(comparison: Comparison, name: str) -> bool:
    """Tells whether all of the interval of its speed is above 1.

    By the processor's time, where that is taken: others on the machine disturb it less.
    """
    clocks = comparison["clocks"]
    found = clocks.get("cpu", clocks.get("wall", {})).get(name)
    return bool(found and found["speed"] and found["speed"]["low"] > 1)


def beside_others(setting: Setting, work: Work, effort: Effort) -> Comparison:
    """Compares all of NETS under one setting with torchvision's ResNet-50.

    The setting's `pack` is for ours alone: the others' users have nothing of the kind.
    """
    unpacked = replace(setting, pack=1)
    contestants = {name: Contestant(name, unpacked) for name in NETS}
    if setting != unpacked:
        contestants[f"{OURS}, packed by {setting.pack}"] = Contestant(OURS, setting)
    return compare(contestants, "ResNet-50, torchvision", work, effort)
