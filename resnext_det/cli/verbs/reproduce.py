"""The options of the verb that does again an update that was not finite. Engine-neutral."""

import argparse
from pathlib import Path

from resnext_det.cli.json_option import add_json
from resnext_det.training.non_finite.bundle_files import check_is_bundle

EPILOG = "Exit status: 0 if the same losses are not finite again, 1 if not, 2 after an error."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.epilog = EPILOG
    where = "OUTPUT_DIR/non_finite/iter_… of the run"
    parser.add_argument("folder", metavar="FOLDER", type=Path, help=where)
    parser.add_argument("--device", help="where to compute; the run's MODEL.DEVICE by default")
    file_help = (
        "of a run from a .py config: that file, which is code and so not in the folder, and the "
        "overrides that the run had"
    )
    file_words = ("FILE.py", "key=value")
    parser.add_argument("--config-file", nargs="+", metavar=file_words, help=file_help)
    add_json(parser, "all of it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Computes: see `cli.reproduce`.

    Raises:
        UserError: as there; a mistyped name is found before torch is imported.
    """
    if args.json:
        from resnext_det.cli.printing import check_json

        check_json(args.json, [*args.folder.glob("*.json"), *map(Path, args.config_file or ())])
    check_is_bundle(args.folder)
    from resnext_det.cli import reproduce

    return reproduce.run(args)
