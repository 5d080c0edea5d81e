"""A mended copy of an annotation file: what has one obvious mend is mended. Engine-neutral.

The original and the images stay as they are. Beside NAME.json stands NAME.fixes.json:

    {"set", "source": path, "source_sha256", "written": path,
     "mended": {kind: {"count", "what", "where": [place, …]}, …},
     "ids": {"images" or "annotations" or "categories": [[old, new], …], …},
     "left": [a finding that no mend was obvious for, …]}

Images are referred to where they lie; none is written anew.
"""

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnext_det.data.checking.check import CheckOptions, CheckResult, annotation_findings
from resnext_det.data.checking.findings import CheckKind, Finding
from resnext_det.data.checking.image_findings import image_findings
from resnext_det.data.checking.mend_entries import mend_entries
from resnext_det.data.checking.mend_ids import mend_ids
from resnext_det.data.checking.mend_images import KnownImages, mend_images
from resnext_det.data.checking.mend_log import MendLog
from resnext_det.data.checking.mend_numbers import without_nan
from resnext_det.data.checking.mend_objects import mend_objects
from resnext_det.data.checking.open_sets import set_of_content
from resnext_det.data.checking.set_findings import nothing_to_train
from resnext_det.data.checking.subjects import CheckedSet
from resnext_det.data.coco_problems import ProblemKind
from resnext_det.errors import UserError, one_line
from resnext_det.file_digests import sha256_of
from resnext_det.whole_files import write_text_safe

_SECTIONS = ("images", "annotations", "categories")
_CLIPPED = (ProblemKind.BOX_OUTSIDE.value, ProblemKind.BOX_OVERHANG.value)
_NOT_CLIPPED = (
    "left, because the image file is of another size than the annotation file says: mend that "
    "size, and use --fix again"
)


@dataclass(frozen=True)
class Mended:
    """What became of one set.

    Attributes:
        name: of the set.
        source: its annotation file.
        written: the mended copy; None where the file cannot be mended.
        log: what was mended.
        left: what was not.
    """

    name: str
    source: Path
    written: Path | None
    log: MendLog
    left: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """Returns what NAME.fixes.json holds."""
        return {
            "set": self.name,
            "source": str(self.source),
            "source_sha256": sha256_of(self.source),
            "written": None if self.written is None else str(self.written),
            **self.log.as_json(),
            "left": [finding.as_json() for finding in self.left],
        }


def check_fix_folder(folder: Path, sets: Sequence[str]) -> None:
    """Checks, before anything is decoded, that the mended copies have room.

    Raises:
        UserError: a file that would be written is there, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--fix {folder}: is a file; give a folder")
    for name in sets:
        for path in mended_files(folder, name):
            if path.exists():
                raise UserError(
                    f"--fix {folder}: {path.name} is there already, and nothing is overwritten; "
                    "give another folder"
                )


def mend_sets(result: CheckResult, folder: Path, options: CheckOptions) -> list[Mended]:
    """Writes a mended copy of each annotation file, and what was done to it.

    Args:
        result: of the check.
        folder: where the copies go.
        options: of the check.

    Raises:
        UserError: the disk refuses a file.
    """
    return [
        _mend_set(checked, folder, options, training=number == 0)
        for number, checked in enumerate(result.sets)
        if checked.entry.json_file is not None
    ]


def _mend_set(
    checked: CheckedSet, folder: Path, options: CheckOptions, *, training: bool
) -> Mended:
    source = checked.entry.json_file
    assert source is not None
    log = MendLog()
    known = KnownImages(checked.entry.image_root, _facts_by_name(checked))
    content = None
    if checked.is_read:
        for slip in checked.slips:
            log.add(slip.kind.value, f"{slip.where}: {slip.reason}")
        content = mended_content(
            checked.content,
            known,
            log,
            masks=options.needs.masks,
            published=checked.entry.published,
        )
    if content is None:
        kind = CheckKind.UNREADABLE.value
        reason = f"cannot be mended: {_hindrance(checked, log)}"
        advice = "see its problems"
        left = (Finding(checked.name, kind, str(source), reason, advice),)
        return Mended(checked.name, source, None, log, left)
    copied = set_of_content(checked.entry, content, trust_file_names=options.trust_file_names)
    copied.facts = [known.facts[image.name] for image in copied.images]
    left = [*annotation_findings(copied, options, training=training), *image_findings(copied)]
    if training and not checked.entry.published:
        left += nothing_to_train(copied)
    mended = Mended(
        checked.name,
        source,
        mended_files(folder, checked.name)[0],
        log,
        tuple(_explain_boxes([finding for finding in left if finding.is_problem])),
    )
    _write(folder, mended, content)
    return mended


def _hindrance(checked: CheckedSet, log: MendLog) -> str:
    """Says why nothing of a file can be mended."""
    if not checked.is_read:
        return "it cannot be read"
    removed = len(log.entries.get("image_removed", ()))
    if removed:
        return (
            f"no image would be left, {removed:,} of them missing, broken, without a name or with "
            "one that leaves the folder"
        )
    return "it has no list of images or of categories, or nothing of use in it"


def _explain_boxes(left: Sequence[Finding]) -> Iterator[Finding]:
    """Says of boxes that were not clipped that the size of their image is in doubt."""
    doubtful = {f.image_id for f in left if f.kind == CheckKind.IMAGE_OTHER_SIZE.value}
    for finding in left:
        if finding.kind in _CLIPPED and finding.image_id in doubtful:
            yield replace(finding, advice=_NOT_CLIPPED)
        else:
            yield finding


def _write(folder: Path, mended: Mended, content: dict[str, Any]) -> None:
    path, log_path = mended_files(folder, mended.name)
    for target in (path, log_path):
        if target.exists():  # since the command began
            raise UserError(f"{target}: is there already, and nothing is overwritten")
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError:
        mended.log.add("not_finite", "in keys that are not read")
        text = json.dumps(without_nan(content), ensure_ascii=False, allow_nan=False)
    write_text_safe(path, f"{text}\n")
    write_text_safe(log_path, json.dumps(mended.as_json(), indent=1, ensure_ascii=False) + "\n")


def mended_content(
    original: Any,
    known: KnownImages,
    log: MendLog,
    *,
    masks: bool = False,
    published: bool = False,
) -> dict[str, Any] | None:
    """Returns a mended copy of what an annotation file holds.

    Args:
        original: is not changed.
        known: its images.
        log: takes what was done.
        masks: whether masks are needed.
        published: its boxes are known to be x, y, width, height.

    Returns:
        COCO content; None where no list of images or categories, or nothing of one, is left.
    """
    content = copy.deepcopy(original)
    if not isinstance(content, dict):
        return None
    content.setdefault("annotations", [])
    if not all(isinstance(content.get(section), list) for section in _SECTIONS):
        return None
    for section in _SECTIONS:
        for number, item in enumerate(content[section]):
            if not isinstance(item, dict):
                log.add("not_an_object", f"{section}[{number}]")
        content[section] = [item for item in content[section] if isinstance(item, dict)]
    _mend_class_names(content["categories"], log)
    mend_ids(content, log)
    doubtful = mend_images(content, known, log)
    mend_objects(content, log, masks=masks, doubtful=doubtful, published=published)
    mend_entries(content, log)
    return content if content["images"] and content["categories"] else None


def _mend_class_names(categories: list[dict[str, Any]], log: MendLog) -> None:
    for item in categories:
        name = item.get("name")
        if isinstance(name, str):
            mended = one_line(" ".join(name.split())) if one_line(name) != name else name
        else:
            mended = str(item.get("id")) if name is None else str(name)
        if mended != name:
            log.add("class_name", f"category {item.get('id')}: {name!r} is {mended!r}")
            item["name"] = mended


def _facts_by_name(checked: CheckedSet) -> dict[str, Any]:
    return {image.name: facts for image, facts in zip(checked.images, checked.facts, strict=True)}


def mended_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Returns where a set's mended copy and the list of its changes go."""
    return folder / f"{name}.json", folder / f"{name}.fixes.json"
