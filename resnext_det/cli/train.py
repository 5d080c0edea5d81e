"""What the verb that trains or evaluates does; `train_net.py` is the same. Engine-neutral."""

import argparse
from collections.abc import Mapping
from contextlib import nullcontext

from fvcore.common.config import CfgNode

from resnext_det.acceleration.choice import AUTO
from resnext_det.acceleration.setting import EXACT, EXACTLY, acceleration_of_words
from resnext_det.acceleration.training_keys import check_words, with_acceleration
from resnext_det.classification import evaluate_classifier, train_classifier
from resnext_det.cli.offline import apply_offline
from resnext_det.cli.source import ConfigSource
from resnext_det.config import LoadedConfig, task_of
from resnext_det.data.catalog import DatasetEntry, entries_by_name, parse_data_argument
from resnext_det.engines.base import EngineName
from resnext_det.engines.detection import DetectionJob, evaluate_detector, train_detector
from resnext_det.errors import UserError
from resnext_det.training.device import check_device, computes_on_gpus
from resnext_det.training.from_config import check_training
from resnext_det.training.launch import launch
from resnext_det.training.place import Request
from resnext_det.training.preemption import handled
from resnext_det.training.run_directory import Resume


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
    check_words(args.acceleration, eval_only=args.eval_only)
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
    given = (
        source,
        loaded,
        datasets,
        args.engine,
        args.resume,
        args.eval_only,
        args.acceleration,
    )
    launch(run_task, request, given)


def run_task(
    source: ConfigSource,
    loaded: LoadedConfig,
    datasets: Mapping[str, DatasetEntry],
    engine_name: EngineName,
    resume: Resume,
    eval_only: bool,
    acceleration: str = AUTO,
) -> None:
    """Runs the config's task in this process.

    Args:
        source: the config file.
        loaded: what it says, and where its keys came from.
        datasets: the data sets named on the command line, by name.
        engine_name: auto, d2 or portable; classification needs none.
        resume: continue the run in OUTPUT_DIR; "auto": where there is one, else start it.
        eval_only: evaluate instead of training.
        acceleration: see `with_acceleration`; evaluating is exact unless words are given.
    """
    if task_of(loaded.cfg) == "classification":
        if eval_only and acceleration not in (AUTO, EXACTLY):
            raise UserError(
                f"--acceleration {acceleration}: --eval-only of a classifier has none: leave it out"
            )
        if eval_only:
            evaluate_classifier(loaded, datasets, resume=bool(resume))
        else:
            loaded = with_acceleration(loaded, acceleration, check_training)
            train_classifier(loaded, datasets, resume=resume)
        return
    engine = source.engine(engine_name)
    if eval_only:
        setting = EXACT if acceleration == AUTO else acceleration_of_words(acceleration)
        evaluate_detector(engine, DetectionJob(loaded, datasets, resume, setting))
        return

    def check(cfg: CfgNode) -> None:
        engine.check_config(cfg)
        check_training(cfg)

    if resume is not True or acceleration != AUTO:  # a run that is continued goes on as it began
        loaded = with_acceleration(loaded, acceleration, check)
    train_detector(engine, DetectionJob(loaded, datasets, resume))
