"""The published model table's networks and what they cost. Engine-neutral."""

from dataclasses import dataclass
from functools import cache

from projects.studies.grid import StudyRow
from resnext_det.errors import UserError, few
from resnext_det.modeling.complexity import Complexity, measure_variant

CONFIGS = "resnext_det://ImageNet-Classification"
PUBLISHED = "model_table"
"""The table's name in `resnext_det/reports/published.json`."""


@dataclass(frozen=True)
class PublishedModel:
    """One line of the table.

    Attributes:
        variant: of the network, by which weights are given.
        row: of the study; its tag is in the config's name.
    """

    variant: str
    row: StudyRow

    @property
    def config(self) -> str:
        """The config file that it is evaluated with."""
        return f"{CONFIGS}/{self.row.tag}.yaml"

    @property
    def complexity(self) -> Complexity:
        """What it costs at 224 px."""
        return _complexity(self.variant)


MODELS = tuple(
    PublishedModel(f"resnext{size}", StudyRow(f"ResNeXt-{size.replace('_', ' ')}", f"X_{size}"))
    for size in ("50_32x4d", "101_32x4d", "101_32x8d", "152_32x4d")
)


def find_model(variant: str) -> PublishedModel:
    """Returns a line of the table.

    Raises:
        UserError: the table has no such network.
    """
    by_name = {model.variant: model for model in MODELS}
    if variant not in by_name:
        names = few(list(by_name), len(by_name))
        raise UserError(f"--weights {variant}=…: the published table has {names}")
    return by_name[variant]


@cache
def _complexity(variant: str) -> Complexity:
    return measure_variant(variant)
