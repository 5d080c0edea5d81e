"""The verb that finds boxes in images and videos. Engine-neutral."""

import argparse
import io
import sys
from collections.abc import Sequence

from resnext_det.config import meant, with_values
from resnext_det.data.class_names import read_class_names
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.preparing.progress import bar
from resnext_det.errors import SaidInterruptError, UserError, few, one_line
from resnext_det.inference.detector import check_score_thresh, settle_device
from resnext_det.inference.detector_file import left_out_of, read_detector_file
from resnext_det.inference.engine_choice import choose_engine
from resnext_det.inference.inputs import Source, find_inputs
from resnext_det.inference.job import SAVED, Job, Outcome, predict
from resnext_det.inference.tiles import Tiling
from resnext_det.inference.video import Video
from resnext_det.inference.workers import Way

_SHOWN = 10  # broken images that are named on the terminal
_USUAL_OVERLAP = 0.2
_USUALLY_DRAWN = 0.5


def run(args: argparse.Namespace) -> int:
    """Finds boxes in all inputs.

    Returns:
        The exit status: 0; 1 where some images could not be read.

    Raises:
        UserError: anything the user can mend.
        SaidInterruptError: an interrupt; what was found so far is kept.
    """
    job = job_of(args)
    try:
        with bar("Predicting", num_steps(job.inputs.sources)) as advance:
            outcome = predict(job, advance)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it ended", file=sys.stderr)
        raise SaidInterruptError from None
    _tell(job, outcome)
    return 1 if outcome.broken else 0


def job_of(args: argparse.Namespace) -> Job:
    """Checks the options, and reads the checkpoint.

    Raises:
        UserError: an option that cannot be, inputs that are not there, or a file that is no
            detector's.
    """
    check_score_thresh(args.score_thresh)
    save = _words(args.save, SAVED, "--save")
    tiling = _tiling(args.tile, args.overlap)
    for option, value in (("--batch-size", args.batch_size), ("--processes", args.processes)):
        if value < 1:
            raise UserError(f"{option} {value}: give 1 or more")
    if args.max_broken is not None and args.max_broken < 0:
        raise UserError(f"--max-broken {args.max_broken}: give 0 or more")
    device = settle_device(args.device)
    if device != "cpu" and args.processes > 1:
        raise UserError(
            f"--processes {args.processes} shares CPUs, and --device is {device}: leave it out, "
            "and give --batch-size"
        )
    if args.output.exists() and not args.output.is_dir():
        raise UserError(f"-o {args.output}: is a file; name a folder")
    stdin = io.BytesIO() if sys.stdin is None else sys.stdin.buffer  # it may be closed
    inputs = find_inputs(args.inputs, args.output, stdin)
    names = read_class_names(args.class_names) if args.class_names else ()
    file = read_detector_file(args.checkpoint, config_file=args.config_file, class_names=names)
    cfg = with_values(file.cfg, {"MODEL.DEVICE": device})
    engine, acceleration = choose_engine(cfg, args.engine, args.acceleration)
    way = Way(
        file=file,
        engine=engine,
        device=device,
        score_thresh=args.score_thresh,
        drawn_from=_USUALLY_DRAWN if args.score_thresh is None else args.score_thresh,
        classes=_classes(args.classes, file.class_names),
        tiling=tiling,
        acceleration=acceleration,
    )
    return Job(
        way=way,
        words=tuple(args.inputs),
        inputs=inputs,
        output=args.output,
        save=save,
        batch_size=args.batch_size,
        processes=args.processes,
        annotations=args.annotations,
        max_broken=args.max_broken,
    )


def num_steps(sources: Sequence[Source]) -> int:
    """Returns how many images and frames there are, as far as the videos' headers know."""
    return sum(_num_frames(source) if source.is_video else 1 for source in sources)


def _num_frames(source: Source) -> int:
    try:
        return Video(source.path).facts.num_frames
    except UnreadableImage:
        return 1


def _words(text: str, known: Sequence[str], option: str) -> frozenset[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise UserError(f"{option} is empty: give some of {', '.join(known)}")
    for word in words:
        if word not in known:
            hint = meant(word, known) or f": there are {few(known, 8)}"
            raise UserError(f"{option} {word!r}: not known{hint}")
    return frozenset(words)


def _classes(text: str | None, class_names: Sequence[str]) -> frozenset[int] | None:
    if text is None:
        return None
    kept = _words(text, class_names, "--classes")
    return frozenset(place for place, name in enumerate(class_names) if name in kept)


def _tiling(size: int | None, overlap: float | None) -> Tiling | None:
    if size is None and overlap is not None:
        raise UserError("--overlap says how far tiles overlap: give --tile too")
    if size is None:
        return None
    return Tiling(size, _USUAL_OVERLAP if overlap is None else overlap)


def _tell(job: Job, outcome: Outcome) -> None:
    """Prints what came of it; what could not be read goes to stderr."""
    for path, reason in list(outcome.broken.items())[:_SHOWN]:
        print(f"left out: {one_line(path)} ({one_line(reason)})", file=sys.stderr)
    if len(outcome.broken) > _SHOWN:
        print(f"left out: {len(outcome.broken)} in all", file=sys.stderr)
    for note in outcome.notes:
        print(note)
    if more := left_out_of(job.way.file.cfg):
        print(f"the detector finds {' and '.join(more)}, too: only boxes are written")
    frames = f", {outcome.num_frames} frame(s) of videos" if outcome.num_frames else ""
    print(f"{job.way.engine} engine on {job.way.device}: {job.way.acceleration.words()}")
    boxes = f"{outcome.num_boxes} box(es){_drawn(job, outcome)}"
    print(
        f"{outcome.num_images} image(s){frames}: {boxes}; "
        f"{len(outcome.broken)} left out; results in {one_line(str(job.output))}"
    )


def _drawn(job: Job, outcome: Outcome) -> str:
    """Says how many of the boxes the pictures show, where it is not all of them."""
    if outcome.num_drawn == outcome.num_boxes or job.save.isdisjoint({"pictures", "videos"}):
        return ""
    return f", {outcome.num_drawn} of them drawn (scores of {job.way.drawn_from:g} and better)"
