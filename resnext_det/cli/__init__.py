"""The `resnext-det` command: one module per verb, imported when it is given. Engine-neutral.

A module of `cli.verbs` has a verb's options and its `run`, and imports little; `run` imports what
does the work. So `--help` and mistakes in the command are answered without torch.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from resnext_det.cli.errors import report_errors

DESCRIPTION = "ResNeXt: classifiers, detectors and the data they are trained on."


class VerbModule(Protocol):
    """What a module of `cli.verbs` holds."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the verb's options, and sets the default `run`.

        `run` is a function of the arguments that returns the exit status.
        """
        ...


@dataclass(frozen=True)
class Verb:
    """One verb of the command.

    Attributes:
        help: what it does, in a sentence.
        module: where its options are, a `VerbModule`.
    """

    help: str
    module: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Imports the verb's module and adds its options."""
        cast(VerbModule, importlib.import_module(self.module)).add_arguments(parser)


VERBS: Mapping[str, Verb] = {
    "benchmark": Verb(
        "Find the fastest setting of this machine for a detector, and save it for predict and "
        "train.",
        "resnext_det.cli.verbs.benchmark",
    ),
    "complexity": Verb(
        "Count parameters, FLOPs (two conventions) and activations of variants and configs.",
        "resnext_det.cli.verbs.complexity",
    ),
    "dataset": Verb(
        "Make a data set of your labelled photographs, check it, or prepare a published one.",
        "resnext_det.cli.verbs.dataset",
    ),
    "design": Verb(
        "Find the width of each cardinality that keeps a network's complexity.",
        "resnext_det.cli.verbs.design",
    ),
    "doctor": Verb(
        "Look whether this machine is fit for runs: versions, Detectron2, CUDA, data folders, "
        "disk, memory, and one forward pass. Takes seconds and leaves nothing behind.",
        "resnext_det.cli.verbs.doctor",
    ),
    "evaluate": Verb(
        "Say where a detector is wrong: classes, errors by what they cost, thresholds, images.",
        "resnext_det.cli.verbs.evaluate",
    ),
    "export": Verb(
        "Export a detector, from image to boxes, as ONNX, torch.export package or OpenVINO IR, and "
        "prove it.",
        "resnext_det.cli.verbs.export",
    ),
    "predict": Verb(
        "Find boxes in images, folders of them, and videos, with a trained detector's checkpoint. "
        "Given again, the same command goes on where it ended.",
        "resnext_det.cli.verbs.predict",
    ),
    "report": Verb(
        "Make one self-contained HTML page from a study's or a run's result.json.",
        "resnext_det.cli.verbs.report",
    ),
    "reproduce": Verb(
        "Do again the update of a run that was not finite, from the folder it left.",
        "resnext_det.cli.verbs.reproduce",
    ),
    "train": Verb(
        "Train or evaluate a classifier or a detector from one config file.",
        "resnext_det.cli.verbs.train",
    ),
    "weights": Verb(
        "Look into weights files, convert them, and prove that they are what they say.",
        "resnext_det.cli.verbs.weights",
    ),
}


class _Parser(argparse.ArgumentParser):
    """Takes no shortened option, nor do the parsers of its verbs, which are of its class."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **options})

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Refuses what is not known where it stands: with the usage of the verb, not of all."""
        found, rest = super().parse_known_args(*args, **options)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return found, rest


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `resnext-det VERB …`.

    Args:
        argv: the arguments after the program's name; those of the process by default.

    Returns:
        The exit status: see `report_errors`.
    """
    words = sys.argv[1:] if argv is None else argv
    args = _parser_for(words).parse_args(words)
    return report_errors(args.run, args)


def _parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """Knows every verb, and the options of those that are among the words."""
    parser = _Parser(prog="resnext-det", description=DESCRIPTION)
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        verb_parser = subparsers.add_parser(name, help=verb.help, description=verb.help)
        if name in words:
            verb.add_arguments(verb_parser)
    return parser
