"""What full networks' detectors start from: named weights, files, pretraining. Engine-neutral."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from projects.DetectionComparison.rows import FULL
from projects.studies.grid import StudyRow
from projects.studies.jobs import Job, make_job
from resnext_det.errors import UserError

PRETRAINING_SEED = 0  # one pretraining for all seeds: it costs far more than the rest


@dataclass(frozen=True)
class Starts:
    """Where each row's classification weights come from.

    Attributes:
        files: tag -> the user's file, or a name such as timm://…; it goes before all else.
        pretrain: whether rows without one are trained on ImageNet first; else the weights that
            their config names are taken.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    pretrain: bool = False

    def overrides(self, row: StudyRow, pretraining: Job | None) -> tuple[str, ...]:
        """Returns KEY VALUE pairs of the row's detectors."""
        if row.tag in self.files:
            return ("MODEL.WEIGHTS", self.files[row.tag])
        if pretraining:
            return ("MODEL.WEIGHTS", str(pretraining.folder / "model_final.pth"))
        return ()

    def words(self, row: StudyRow, named: str) -> str:
        """Says for tables what a row starts from.

        Args:
            row: the row.
            named: MODEL.WEIGHTS of its config.
        """
        weights = self.files.get(row.tag, "" if self.pretrain else named)
        scheme, _, rest = weights.partition("://")
        return f"ImageNet, {scheme if rest else Path(weights).name}" if weights else "ImageNet"

    def pretraining(self, row: StudyRow, output: Path) -> Job | None:
        """Returns the run of the paper's ImageNet recipe that all seeds of a row start from.

        Raises:
            UserError: see `make_job`.
        """
        if not self.pretrain or row.tag in self.files:
            return None
        return make_job(
            f"{row.model}: ImageNet",
            output / row.tag / "classification",
            f"resnext_det://ImageNet-Classification/{row.tag}_paper.yaml",
            seed=PRETRAINING_SEED,
            overrides=("TEST.MORE_CROPS", "[]"),  # ResNeXt-101 64x4d alone has a second crop
        )


def read_weights(words: Sequence[str], rows: Sequence[StudyRow]) -> dict[str, str]:
    """Reads --weights TAG=FILE ….

    Args:
        words: as given.
        rows: those that will be trained.

    Raises:
        UserError: not of that form, a tag of none of the rows, or one given twice.
    """
    found: dict[str, str] = {}
    tags = [row.tag for row in rows]
    for word in words:
        tag, equals, file = word.partition("=")
        if not (equals and file):
            raise UserError(f"--weights {word}: write TAG=FILE, as {FULL.rows[0].tag}=model.pth")
        if tag not in tags:
            raise UserError(
                f"--weights {word}: no row {tag} is trained; the rows are {', '.join(tags)}"
            )
        if tag in found:
            raise UserError(f"--weights {word}: {tag} has {found[tag]} already")
        found[tag] = file
    return found
