"""The options that every study's command shares. Engine-neutral.

A project adds its own options to a parser and leaves the rest to `parse_options`:

    parser = argparse.ArgumentParser(prog="comparison", description="…")
    parser.add_argument("--scale", choices=SCALES, default="mini")
    args, options = parse_options(parser, argv, output=Path("output/comparison"))

`options` is a `StudyOptions`; a grid is built from `options.output`, `.engine` and `.seeds`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from projects.studies.folders.study_folder import DATA, check_study
from projects.studies.grid import Kind
from resnext_det.engines.base import detectron2_is_installed

DetectionEngine = Literal["d2", "portable"]


@dataclass(frozen=True)
class StudyOptions:
    """What the user asked of a study, apart from what the project itself asks.

    Attributes:
        output: the study's folder, which every run's folder lies in.
        engine: of detection; "auto" is settled.
        seeds: 0 … N-1.
        rows: tags of the rows wanted; empty for all.
        plan: print what would be done, and do nothing.
        plan_json: file that the plan goes to, too; None for none.
        jobs: runs at a time; None leaves it to `places.choose_places`.
        gpus: "0,2", or "none" for the CPU; None for all there are.
        gpus_per_run: GPUs of each run.
        slurm: sbatch's options; None where runs are processes of this machine.
        pictures: images that the page shows; 0 leaves them out.
        gather_only: make the table of a finished study; train nothing.
        words: what was typed, without the interpreter's own path.
        aside: folder for what a plan has to make; None where the study itself runs.
    """

    output: Path
    engine: DetectionEngine
    seeds: tuple[int, ...] = (0,)
    rows: tuple[str, ...] = ()
    plan: bool = False
    plan_json: Path | None = None
    jobs: int | None = None
    gpus: str | None = None
    gpus_per_run: int = 1
    slurm: str | None = None
    pictures: int = 4
    gather_only: bool = False
    words: tuple[str, ...] = ()
    aside: Path | None = None

    def data_for(self, title: str, kind: Kind, scale: str) -> Path:
        """Returns the folder that a project makes its data in; it says whose they are first.

        Args:
            title: the study's.
            kind: the study's.
            scale: the study's.

        Raises:
            UserError: the study's folder is another's.
        """
        check_study(self.output, title=title, kind=kind, scale=scale)
        return (self.aside or self.output) / DATA

    @property
    def ready(self) -> Path | None:
        """Folder whose data a plan reads and leaves alone; None where the study itself runs."""
        return self.output / DATA if self.aside else None


def parse_options(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    *,
    output: Path,
    seeds: int = 1,
) -> tuple[argparse.Namespace, StudyOptions]:
    """Adds the shared options to a project's own, and reads the command.

    Args:
        parser: with the project's options.
        argv: the words after the script's name; None takes the process's own.
        output: what --output is without being given.
        seeds: what --seeds is without being given.

    Returns:
        Every option, and the shared ones.

    Raises:
        SystemExit: with status 2, after a line on what is wrong.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser.allow_abbrev = False  # --seed 1 would pass for --seeds 1, which is seed 0
    _add(parser, output, seeds)
    args = parser.parse_args(words)
    _check(parser, args)
    engine = args.engine
    if engine == "auto":
        engine = "d2" if detectron2_is_installed() else "portable"
    return args, StudyOptions(
        output=args.output,
        engine=engine,
        seeds=tuple(range(args.seeds)),
        rows=tuple(args.rows),
        plan=args.plan,
        plan_json=args.json,
        jobs=args.jobs,
        gpus=args.gpus,
        gpus_per_run=args.gpus_per_run,
        slurm=args.slurm,
        pictures=args.pictures,
        gather_only=args.gather_only,
        words=("python", _script(), *words),
    )


def _add(parser: argparse.ArgumentParser, output: Path, seeds: int) -> None:
    engines = ("auto", "d2", "portable")
    add = parser.add_argument
    add("--output", type=Path, default=output, metavar="FOLDER", help=f"the study's ({output})")
    add("--engine", choices=engines, default="auto", help="detection engine")
    add("--seeds", type=int, default=seeds, metavar="N", help=f"seeds 0 to N-1 ({seeds})")
    add("--rows", nargs="+", default=[], metavar="TAG", help="these rows alone")
    plan_help = (
        "print what would be run and what it costs, measured on a few iterations, then stop; "
        "nothing is written to FOLDER, and built-in data are made in a temporary one"
    )
    add("--plan", action="store_true", help=plan_help)
    add("--json", type=Path, metavar="FILE", help="with --plan: write the plan there, too")
    jobs_help = "runs at a time: on the CPU one core each (2), else one on each GPU"
    add("--jobs", type=int, metavar="N", help=jobs_help)
    add("--gpus", metavar="0,1,…", help="share the runs among these; none: the CPU (all)")
    add("--gpus-per-run", type=int, default=1, metavar="K", help="GPUs of each run (1)")
    add("--slurm", metavar="OPTIONS", help='submit each run with sbatch and these: "-p gpu …"')
    add("--pictures", type=int, default=4, metavar="N", help="images on the page (4); 0: none")
    add(
        "--gather-only",
        action="store_true",
        help="make the table of a finished study; train nothing",
    )


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    for option, least in (("seeds", 1), ("jobs", 1), ("gpus_per_run", 1), ("pictures", 0)):
        value = getattr(args, option)
        if value is not None and value < least:
            parser.error(f"--{option.replace('_', '-')} must be at least {least}")
    if args.slurm is not None and (args.jobs or args.gpus):
        parser.error("--slurm gives the runs to SLURM: leave --jobs and --gpus out")
    if args.json and not args.plan:
        parser.error("--json is the plan's: give --plan, too")
    if args.plan and args.gather_only:
        parser.error("--plan and --gather-only: give one")


def _script() -> str:
    """The running script as one would type it in the current folder."""
    path = Path(sys.argv[0])
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
