"""From what is asked to the study: one grid for each scale. Engine-neutral."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from projects.DetectionComparison import full, mini
from projects.DetectionComparison.inputs import check_sets, check_weights, sets_of
from projects.DetectionComparison.own_data import PRETRAIN_ITERATIONS, Sizes, own_data
from projects.DetectionComparison.rows import FULL, MINI
from projects.DetectionComparison.starts import Starts, read_weights
from projects.studies.grid import Cell, Grid, StudyRow, TestSet
from projects.studies.options import StudyOptions
from resnext_det.engines.base import detectron2_is_installed, resolve_engine
from resnext_det.errors import UserError

SCALES = ("mini", "coco", "paper-c4")
# The paper's own pairs differ by 3.4 and 2.2 %, the mini scale's by 0.2 and 3.4 %.
MAX_FLOPS_DIFFERENCE = 3.5
_BACKBONE = (
    "MODEL.WEIGHTS",
    "MODEL.RESNETS.VARIANT",
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
)
_PROPOSALS = ("DATASETS.PROPOSAL_FILES_TRAIN", "DATASETS.PROPOSAL_FILES_TEST")
_PIXELS = ("INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD")  # come with weights


@dataclass(frozen=True)
class Asked:
    """What the project's own options say.

    Attributes:
        scale: one of `SCALES`.
        sets: --classification, --train-data and --test-data, or None each.
        sizes: how the user's pictures are seen.
        lengths: iterations of each pretraining and of each fine-tuning; None for the configs'.
        weights: --weights, as given.
        pretrain: whether full networks are trained on ImageNet first.
    """

    scale: str
    sets: tuple[str | None, str | None, str | None] = (None, None, None)
    sizes: Sizes = field(default_factory=Sizes)
    lengths: tuple[int | None, int | None] = (None, None)
    weights: tuple[str, ...] = ()
    pretrain: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> "Asked":
        """Returns what was parsed."""
        usual = Sizes()
        shortest, longest = args.image_size or (usual.shortest, usual.longest)
        crop = usual.crop if args.crop is None else args.crop
        anchors = usual.anchors if args.anchors is None else tuple(args.anchors)
        return cls(
            scale=args.scale,
            sets=(args.classification, args.train_data, args.test_data),
            sizes=Sizes(crop, shortest, longest, anchors),
            lengths=(args.pretrain_iterations, args.iterations),
            weights=tuple(args.weights),
            pretrain=args.pretrain,
        )


def build_grid(asked: Asked, options: StudyOptions, console: Console) -> Grid:
    """Returns the study.

    Args:
        asked: what the project's own options say.
        options: the shared ones.
        console: where it says that data are made.

    Raises:
        UserError: an unknown row, missing data or weights, an engine that cannot.
    """
    if asked.scale == "mini":
        return _mini(asked, options, console)
    return _paper_c4(asked, options) if asked.scale == "paper-c4" else _coco(asked, options)


def _mini(asked: Asked, options: StudyOptions, console: Console) -> Grid:
    rows = MINI.choose(options.rows or None)
    _check_engine(options)
    data = own_data(*asked.sets, asked.sizes)
    if data is None:
        console.print("The built-in digits are made, or found …")
        data = mini.built_in_data(options.data)
    elif not (options.plan or options.gather_only):
        check_sets((*data.classification, *data.detection))
    pretraining, fine_tuning = asked.lengths
    if pretraining is None and any(asked.sets):
        pretraining = PRETRAIN_ITERATIONS
    data = mini.with_lengths(data, pretraining, fine_tuning)
    rows = tuple(
        replace(row, pretraining=data.pretraining) if row.pretrained else row for row in rows
    )
    return Grid(
        title="ResNet and ResNeXt of half width in Faster R-CNN with FPN",
        kind="detection",
        scale="mini",
        output=options.output,
        cells=mini.cells(rows, options.seeds, data, options.output, options.engine),
        pairs=MINI.pairs_of(rows),
        test_set=TestSet(data.detection[1], data.description),
        compared=_BACKBONE,
        max_flops_difference=MAX_FLOPS_DIFFERENCE,
        published=("table8",),
    )


def _coco(asked: Asked, options: StudyOptions) -> Grid:
    rows, starts = _full(asked, options, full.FPN)
    _check_engine(options)
    cells = full.coco_cells(rows, options.seeds, starts, options.output, options.engine)
    _check(asked, options, rows, cells, starts, full.FPN)
    return Grid(
        title="ResNet and ResNeXt in Faster R-CNN with FPN",
        kind="detection",
        scale="coco",
        output=options.output,
        cells=cells,
        pairs=FULL.pairs_of(rows),
        test_set=TestSet("coco_2017_val", "COCO 2017 val; trained on its train set, 1x schedule"),
        compared=(*_BACKBONE, *(_PIXELS if starts.files else ())),
        max_flops_difference=MAX_FLOPS_DIFFERENCE,
        published=("table8", "mmdetection", "detectron2", "detectron"),
    )


def _paper_c4(asked: Asked, options: StudyOptions) -> Grid:
    if options.engine != "d2":
        raise UserError(
            "--scale paper-c4: only the d2 engine has RPN and Fast R-CNN as two runs: install "
            "Detectron2 (make detectron2) and leave --engine out, or take --scale coco"
        )
    _check_engine(options)
    rows, starts = _full(asked, options, full.FAST_RCNN)
    cells = full.paper_cells(rows, options.seeds, starts, options.output)
    _check(asked, options, rows, cells, starts, full.FAST_RCNN)
    return Grid(
        title="ResNet and ResNeXt in the paper's own Faster R-CNN",
        kind="detection",
        scale="paper-c4",
        output=options.output,
        cells=cells,
        pairs=FULL.pairs_of(rows),
        test_set=TestSet(
            "coco_2014_minival", "COCO 2014 minival; trained on train and valminusminival"
        ),
        compared=(*_BACKBONE, *_PROPOSALS, *(_PIXELS if starts.files else ())),
        max_flops_difference=MAX_FLOPS_DIFFERENCE,
        published=("table8",),
    )


def _check_engine(options: StudyOptions) -> None:
    """Refuses an engine that is not here; importing one that is takes seconds."""
    if options.engine == "d2" and not detectron2_is_installed():
        resolve_engine(options.engine)


def _full(asked: Asked, options: StudyOptions, pattern: str) -> tuple[tuple[StudyRow, ...], Starts]:
    rows = FULL.choose(options.rows or None)
    starts = Starts(read_weights(asked.weights, rows), asked.pretrain)
    return full.described(rows, starts, pattern), starts


def _check(
    asked: Asked,
    options: StudyOptions,
    rows: Sequence[StudyRow],
    cells: Sequence[Cell],
    starts: Starts,
    pattern: str,
) -> None:
    """Names all that is missing, weights first; a plan does so itself."""
    if options.plan or options.gather_only:
        return
    jobs = list(dict.fromkeys(job for cell in cells for job in cell.jobs))
    without = [
        row.tag
        for row in rows
        if not (starts.pretrain or row.tag in starts.files or full.named_weights(row, pattern))
    ]
    found: list[str] = []
    for check in (
        lambda: check_weights(rows, jobs, without),
        lambda: check_sets(sets_of(jobs)),
    ):
        try:
            check()
        except UserError as error:
            found.append(str(error))
    if found:
        raise UserError(f"--scale {asked.scale}: {'; '.join(found)}")
