"""From what is asked to the study: one grid for each scale. Engine-neutral."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from projects.DetectionComparison import full, mini
from projects.DetectionComparison.inputs import check_sets, check_weights, sets_of
from projects.DetectionComparison.own_data import PRETRAIN_ITERATIONS, Sizes, own_data
from projects.DetectionComparison.rows import FULL, MINI, RowSet
from projects.DetectionComparison.starts import Starts, read_weights
from projects.studies.grid import Cell, Grid, TestSet
from projects.studies.options import StudyOptions
from resnext_det.engines.base import detectron2_is_installed, resolve_engine
from resnext_det.errors import UserError

# The paper's own pairs differ by 3.4 and 2.2 %, the mini scale's by 0.2 and 3.4 %.
MAX_FLOPS_DIFFERENCE = 3.5
_BACKBONE = (
    "MODEL.WEIGHTS",
    "MODEL.RESNETS.VARIANT",
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
)
_PIXELS = ("INPUT.FORMAT", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD")  # come with weights


@dataclass(frozen=True)
class Scale:
    """What a scale is, whatever else is asked.

    Attributes:
        title: of the page.
        rows: all it has.
        test_set: what full networks are scored on; None where the data say it.
        detector: pattern of the configs whose weights full networks start from.
        compared: keys that its rows may differ in, beside their backbones'.
        published: tables with figures beside Table 8's.
    """

    title: str
    rows: RowSet
    test_set: TestSet | None = None
    detector: str = ""
    compared: tuple[str, ...] = ()
    published: tuple[str, ...] = ()


SCALES = {
    "mini": Scale("ResNet and ResNeXt of half width in Faster R-CNN with FPN", MINI),
    "coco": Scale(
        "ResNet and ResNeXt in Faster R-CNN with FPN",
        FULL,
        TestSet("coco_2017_val", "COCO 2017 val; trained on its train set, 1x schedule"),
        full.FPN,
        published=("mmdetection", "detectron2", "detectron"),
    ),
    "paper-c4": Scale(
        "ResNet and ResNeXt in the paper's own Faster R-CNN",
        FULL,
        TestSet("coco_2014_minival", "COCO 2014 minival; trained on train and valminusminival"),
        full.FAST_RCNN,
        compared=("DATASETS.PROPOSAL_FILES_TRAIN", "DATASETS.PROPOSAL_FILES_TEST"),
    ),
}


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
    scale = SCALES[asked.scale]
    if scale.test_set is None:
        cells, test_set = _mini(asked, options, console)
    else:
        cells, test_set = _full(asked, options, scale.detector), scale.test_set
    return Grid(
        title=scale.title,
        kind="detection",
        scale=asked.scale,
        output=options.output,
        cells=cells,
        pairs=scale.rows.pairs_of([cell.row for cell in cells]),
        test_set=test_set,
        compared=(*_BACKBONE, *scale.compared, *(_PIXELS if asked.weights else ())),
        max_flops_difference=MAX_FLOPS_DIFFERENCE,
        published=("table8", *scale.published),
    )


def _mini(
    asked: Asked, options: StudyOptions, console: Console
) -> tuple[tuple[Cell, ...], TestSet]:
    rows = MINI.choose(options.rows or None)
    _check_engine(options)
    data = own_data(*asked.sets, asked.sizes)
    if data is None:
        console.print("The built-in digits are made, or found …")
        folder = options.data_for(SCALES[asked.scale].title, "detection", asked.scale)
        data = mini.built_in_data(folder, ready=options.ready)
    elif not (options.plan or options.gather_only):
        check_sets((*data.classification, *data.detection))
    pretraining, fine_tuning = asked.lengths
    if pretraining is None and any(asked.sets):
        pretraining = PRETRAIN_ITERATIONS
    data = mini.with_lengths(data, pretraining, fine_tuning)
    rows = tuple(
        replace(row, pretraining=data.pretraining) if row.pretrained else row for row in rows
    )
    cells = mini.cells(rows, options.seeds, data, options.output, options.engine)
    return cells, TestSet(data.detection[1], data.description)


def _full(asked: Asked, options: StudyOptions, detector: str) -> tuple[Cell, ...]:
    papers = asked.scale == "paper-c4"
    if papers and options.engine != "d2":
        raise UserError(
            "--scale paper-c4: only the d2 engine has RPN and Fast R-CNN as two runs: install "
            "Detectron2 (make detectron2) and leave --engine out, or take --scale coco"
        )
    rows = FULL.choose(options.rows or None)
    starts = Starts(read_weights(asked.weights, rows), asked.pretrain)
    rows = full.described(rows, starts, detector)
    _check_engine(options)
    if papers:
        cells = full.paper_cells(rows, options.seeds, starts, options.output)
    else:
        cells = full.coco_cells(rows, options.seeds, starts, options.output, options.engine)
    if not (options.plan or options.gather_only):  # a plan names what is missing itself
        _check(asked, cells, starts, detector)
    return cells


def _check_engine(options: StudyOptions) -> None:
    """Refuses an engine that is not here; importing one that is takes seconds."""
    if options.engine == "d2" and not detectron2_is_installed():
        resolve_engine(options.engine)


def _check(asked: Asked, cells: Sequence[Cell], starts: Starts, detector: str) -> None:
    """Names all that is missing, weights first."""
    rows = list(dict.fromkeys(cell.row for cell in cells))
    jobs = list(dict.fromkeys(job for cell in cells for job in cell.jobs))
    without = [
        row.tag
        for row in rows
        if not (starts.pretrain or row.tag in starts.files or full.named_weights(row, detector))
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
