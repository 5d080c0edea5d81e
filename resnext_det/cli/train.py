"""The verb that trains or evaluates; `train_net.py` is the same. Engine-neutral."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.cli.errors import report_errors
from resnext_det.cli.offline import add_offline, apply_offline
from resnext_det.cli.source import ConfigSource
from resnext_det.config import LoadedConfig, task_of
from resnext_det.data.catalog import DatasetEntry, entries_by_name, parse_data_argument
from resnext_det.engines.base import EngineName
from resnext_det.engines.detection import DetectionJob, evaluate_detector, train_detector
from resnext_det.errors import UserError
from resnext_det.training.device import check_device, computes_on_gpus
from resnext_det.training.launch import launch
from resnext_det.training.place import TIMEOUT, Request
from resnext_det.training.preemption import handled
from resnext_det.training.run_directory import Resume

DESCRIPTION = "Train or evaluate a classifier or a detector from one config file."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb to `resnext-det`."""
    parser = subparsers.add_parser("train", help=DESCRIPTION, description=DESCRIPTION)
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options, named as in Detectron2's `train_net.py`."""
    add = parser.add_argument
    config_help = "a path or resnext_det://NAME, .yaml or (Detectron2's LazyConfig) .py"
    add("--config-file", required=True, metavar="FILE", help=config_help)
    add("--engine", choices=("auto", "d2", "portable"), default="auto", help="detection engine")
    goes_on = parser.add_mutually_exclusive_group()
    resume_help = "continue the run in OUTPUT_DIR"
    goes_on.add_argument("--resume", action="store_true", help=resume_help)
    auto_help = "continue the run in OUTPUT_DIR, or start it where it has no checkpoint yet"
    goes_on.add_argument(
        "--auto-resume", dest="resume", action="store_const", const="auto", help=auto_help
    )
    add("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS, do not train")
    data_help = (
        "a data set: NAME=annotations.json:images/ (a panoptic one goes on with "
        ":panoptic.json:panoptic_png/:stuff_png/), or to classify NAME=FOLDER (class folders or "
        "shards), NAME=FOLDER/train-{000000..000146}.tar or NAME=http://SERVER/index.json; "
        "repeatable"
    )
    add("--train-data", action="append", default=[], metavar="NAME=…", help=data_help)
    add("--test-data", action="append", default=[], metavar="NAME=…", help=data_help)
    add("--num-gpus", type=int, default=1, help="GPUs, or without any processes, on this machine")
    add("--num-machines", type=int, default=1, help="machines in all")
    add("--machine-rank", type=int, default=0, help="this machine's place, from 0")
    add("--dist-url", default="auto", help="tcp://HOST:PORT of machine 0; auto on one machine")
    wait_help = f"seconds to wait for the other machines ({TIMEOUT:g})"
    add("--dist-timeout", type=float, default=TIMEOUT, metavar="SECONDS", help=wait_help)
    add_offline(parser)
    opts_help = "config keys to set; key=value for a .py config"
    add("opts", nargs=argparse.REMAINDER, metavar="KEY VALUE", help=opts_help)


def run(args: argparse.Namespace) -> int:
    """Loads the config and starts the processes of the run.

    Returns:
        The exit status, 0.

    Raises:
        UserError: anything the user can mend, found before training where possible.
        Preempted: training was told to stop by SIGTERM or SIGUSR1.
    """
    with nullcontext() if args.eval_only else handled():
        _run(args)
    return 0


def _run(args: argparse.Namespace) -> None:
    apply_offline(args)
    train = [parse_data_argument(text) for text in args.train_data]
    test = [parse_data_argument(text) for text in args.test_data]
    datasets = entries_by_name([*train, *test])
    named = {"DATASETS.TRAIN": train, "DATASETS.TEST": test}
    names = {key: [entry.name for entry in entries] for key, entries in named.items() if entries}
    source = ConfigSource(args.config_file, tuple(args.opts), names)
    if args.eval_only and args.resume == "auto":
        raise UserError("--eval-only trains nothing: --resume evaluates the newest checkpoint")
    source.check_words(resume=args.resume is True)
    loaded = source.load(args.engine)
    check_device(loaded.cfg)  # before the data are read, which can take a while
    request = Request(
        num_gpus=args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        timeout=args.dist_timeout,
        on_gpus=computes_on_gpus(loaded.cfg),
    )
    given = (source, loaded, datasets, args.engine, args.resume, args.eval_only)
    launch(run_task, request, given)


def run_task(
    source: ConfigSource,
    loaded: LoadedConfig,
    datasets: Mapping[str, DatasetEntry],
    engine_name: EngineName,
    resume: Resume,
    eval_only: bool,
) -> None:
    """Runs the config's task in this process.

    Args:
        source: the config file.
        loaded: what it says, and where its keys came from.
        datasets: the data sets named on the command line, by name.
        engine_name: auto, d2 or portable; classification needs none.
        resume: continue the run in OUTPUT_DIR; "auto": where there is one, else start it.
        eval_only: evaluate instead of training.
    """
    if task_of(loaded.cfg) == "classification":
        if eval_only:
            evaluate_classifier(loaded, datasets, resume=bool(resume))
        else:
            train_classifier(loaded, datasets, resume=resume)
        return
    detect = evaluate_detector if eval_only else train_detector
    detect(source.engine(engine_name), DetectionJob(loaded, datasets, resume))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `train_net.py` with `argv`, or with the process's own arguments.

    Returns:
        0; 2 after a mistake the user can mend; 3 when the loss is no longer finite;
        75 when training was told to stop and saved its state; 130 after an interrupt.
    """
    parser = argparse.ArgumentParser(
        prog="train_net.py",
        description=DESCRIPTION,
        allow_abbrev=False,  # as `resnext-det`
    )
    add_arguments(parser)
    return report_errors(run, parser.parse_args(argv))
