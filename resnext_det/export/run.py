"""Exports a detector, proves it, and only then puts the file in its place. Portable."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from resnext_det.data.coco import CocoDataset
from resnext_det.data.opened_image import Pixels
from resnext_det.errors import UserError
from resnext_det.export.formats import NAMES, FixedShape, Format
from resnext_det.export.int8 import Grouped, Quantized, quantize
from resnext_det.export.pictures import in_batches
from resnext_det.export.proving import Proof, Tolerances, prove
from resnext_det.export.runtimes import open_export
from resnext_det.export.source import ExportSource
from resnext_det.export.writing import write_export

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What to export, and what to prove it on.

    Attributes:
        output: the file.
        kind: its format.
        tolerances: what it may differ by; of INT8 only AP counts.
        pictures: to compare boxes in, at least one.
        fixed: the one shape that it takes; None for any.
        test_set: to compare AP on.
        calibration: images for INT8; None for float32.
        grouped: what grouped convolutions of INT8 compute in.
    """

    output: Path
    kind: Format
    tolerances: Tolerances
    pictures: list[Pixels]
    fixed: FixedShape | None = None
    test_set: CocoDataset | None = None
    calibration: list[Pixels] | None = None
    grouped: Grouped = "auto"


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        proof: of the float32 file.
        megabytes: of the file or files, in millions of bytes.
        int8: what quantising made of it, and the proof of that; None for float32.
        problems: why no file was written, in parts of a sentence; empty where one was.
    """

    proof: Proof
    megabytes: float
    int8: tuple[Quantized, Proof] | None
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON takes it."""
        content = {
            "proof": self.proof.as_dict(),
            "megabytes": self.megabytes,
            "problems": self.problems,
        }
        if self.int8 is not None:
            quantized, proof = self.int8
            content["int8"] = asdict(quantized) | {"proof": proof.as_dict()}
        return content


def export(source: ExportSource, wanted: Wanted, say: Say) -> Exported:
    """Exports a detector.

    Args:
        source: the detector.
        wanted: what to make of it.
        say: takes a few words on what comes next, most of which takes a minute or more.

    Raises:
        UserError: a package is missing, or the folder refuses the file.
    """
    with _folder_beside(wanted.output) as folder:
        file = folder / wanted.output.name
        say(f"writing {NAMES[wanted.kind]}")
        write_export(source, wanted.kind, file, wanted.fixed)
        proof = _prove(source, file, wanted, say)
        problems = proof.box_problems(wanted.tolerances)
        int8 = None
        if wanted.calibration is None:
            problems += proof.ap_problems(wanted.tolerances)
        elif not problems:
            int8 = _quantize(source, file, wanted, wanted.calibration, say)
            problems += int8[1].ap_problems(wanted.tolerances)
        size = sum(part.stat().st_size for part in folder.iterdir()) / 1e6
        if not problems:
            for part in sorted(folder.iterdir()):
                os.replace(part, wanted.output.parent / part.name)
    return Exported(proof, size, int8, problems)


def _prove(
    source: ExportSource, file: Path, wanted: Wanted, say: Say, *, with_ties: bool = True
) -> Proof:
    run, runtime = open_export(file, wanted.kind)
    more = f", then AP on {wanted.test_set.entry.name}" if wanted.test_set else ""
    say(f"comparing {len(wanted.pictures)} images in {runtime}{more}")
    return prove(
        source,
        run,
        runtime,
        wanted.pictures,
        fixed=wanted.fixed,
        tolerances=wanted.tolerances,
        test_set=wanted.test_set,
        with_ties=with_ties,
    )


def _quantize(
    source: ExportSource, file: Path, wanted: Wanted, calibration: list[Pixels], say: Say
) -> tuple[Quantized, Proof]:
    """Puts the quantised file in the place of the other."""
    float_file = file.with_suffix(".float32.onnx")
    os.replace(file, float_file)
    batches = in_batches(calibration, wanted.fixed)
    say(f"quantising with {len(calibration)} images")
    quantized = quantize(float_file, file, batches, source.metadata(), wanted.grouped)
    float_file.unlink()
    return quantized, _prove(source, file, wanted, say, with_ties=False)


@contextmanager
def _folder_beside(output: Path) -> Iterator[Path]:
    """Makes a folder on the same disk, and removes it afterwards with what is left in it."""
    try:
        folder = Path(tempfile.mkdtemp(".partial", f".{output.name}.", output.parent))
    except OSError as error:
        raise UserError(f"-o {output}: {error.strerror}") from error
    try:
        yield folder
    except OSError as error:
        raise UserError(f"-o {output}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
