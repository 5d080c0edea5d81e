"""The mini scale of a study of classifiers: its options, its data, its length. Engine-neutral."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from projects.studies.classification.classifiers import Scale
from projects.studies.grid import TestSet
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.image_folder import class_folders, load_image_folder
from resnext_det.data.quickstart import build_quickstart_data
from resnext_det.errors import UserError

MINI = "mini"
_STEPS = (0.6, 0.85)  # of all iterations: where the rate falls
_DATA_SEED = 0  # all seeds of a study train and are scored on the same pictures


@dataclass(frozen=True)
class MiniData:
    """What the mini scale trains on and is scored on.

    Attributes:
        train: a folder of class folders.
        test: another one.
        description: words for the page.
        overrides: KEY VALUE pairs that these pictures need.
    """

    train: str
    test: str
    description: str
    overrides: tuple[str, ...] = ()


def add_mini_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the mini scale to a project's parser."""
    add = parser.add_argument
    add("--train-data", metavar="FOLDER", help="mini: class folders to train on (digits)")
    add("--test-data", metavar="FOLDER", help="mini: class folders to score on (digits)")
    add("--iterations", type=int, metavar="N", help="mini: of each run, instead of the config's")


def check_mini_options(args: argparse.Namespace) -> None:
    """Refuses options that say nothing together.

    Raises:
        UserError: one of the mini scale at another, one folder of two, or no iterations.
    """
    given = {
        f"--{name.replace('_', '-')}": getattr(args, name)
        for name in ("train_data", "test_data", "iterations")
    }
    present = [option for option, value in given.items() if value is not None]
    if present and args.scale != MINI:
        raise UserError(
            f"{present[0]} is the mini scale's: the scale {args.scale} trains on the sets that its "
            f"configs name; leave it out, or give --scale {MINI}"
        )
    if (args.train_data is None) != (args.test_data is None):
        missing = next(o for o in ("--train-data", "--test-data") if given[o] is None)
        raise UserError(f"{missing} is missing: name both folders, or neither for the digits")
    if args.iterations is not None and args.iterations < 1:
        raise UserError(f"--iterations {args.iterations}: at least 1")


def mini_data(args: argparse.Namespace, root: Path, *, ready: Path | None = None) -> MiniData:
    """Returns the folders that the user named, or the quickstart's digits, made where missing.

    Args:
        args: with the options of `add_mini_options`.
        root: folder that the digits are made in.
        ready: a folder that is only read: whole digits are taken from it.

    Raises:
        UserError: see `check_mini_options`; a folder is none of class folders with images.
    """
    check_mini_options(args)
    if args.train_data is None:
        found = None if ready is None else ready / "digits"
        built = build_quickstart_data(root / "digits", seed=_DATA_SEED, ready=found)
        train, test = (str(entry.image_root) for entry in (built.crops_train, built.crops_val))
        # A mirrored digit is another thing.
        return MiniData(train, test, built.description, ("INPUT.CLASSIFICATION.HFLIP", "0.0"))
    folders = [Path(args.train_data), Path(args.test_data)]
    sizes = []
    for folder in folders:
        found = load_image_folder(DatasetEntry(folder.name, None, folder), training=False)
        sizes.append((len(found), len(found.class_names)))
    (images, classes), (tested, of) = sizes
    words = f"{images} training images of {classes} classes, {tested} test images of {of}"
    return MiniData(args.train_data, args.test_data, words)


def check_superset(data: MiniData) -> None:
    """Refuses data whose test set does not have some of the trained classes, and these alone.

    Raises:
        UserError: it has another class, or all of them.
    """
    trained, tested = (
        {folder.name for folder in class_folders(Path(root))} for root in (data.train, data.test)
    )
    if strange := sorted(tested - trained):
        raise UserError(f"{data.test}: '{strange[0]}' is no class of {data.train}")
    if tested == trained:
        raise UserError(
            f"{data.test} has all {len(trained)} classes of {data.train}; Table 6 is about a test "
            "set of some of them only: leave class folders out of the test set"
        )


def schedule(iterations: int | None) -> tuple[str, ...]:
    """Returns KEY VALUE pairs of a training of so many iterations; none for None."""
    if iterations is None:
        return ()
    steps = [round(share * iterations) for share in _STEPS]
    # A step has to lie within the training: of very short ones none does.
    kept = sorted({step for step in steps if 0 < step < iterations})
    return ("SOLVER.MAX_ITER", str(iterations), "SOLVER.STEPS", str(kept))


def mini_scale(args: argparse.Namespace, data: MiniData) -> Scale:
    """Returns the mini scale on these data, of as many iterations as asked."""
    overrides = (*data.overrides, *schedule(args.iterations))
    return Scale(MINI, TestSet(data.test, data.description), (data.train, data.test), overrides)


def named_scale(args: argparse.Namespace, test_set: TestSet) -> Scale:
    """Returns a scale whose configs name all it trains on.

    Args:
        args: whose `scale` it is.
        test_set: that of the configs.

    Raises:
        UserError: an option of the mini scale.
    """
    check_mini_options(args)
    return Scale(args.scale, test_set)
