"""How names of files and text are read and written here. Engine-neutral."""

import locale
import sys
from collections.abc import Iterator

from resnext_det.doctor.findings import Finding, fine, note, problem

_ADVICE = "Set LC_ALL=C.UTF-8, or PYTHONUTF8=1"


def look() -> Iterator[Finding]:
    """Tells whether both are UTF-8."""
    printed = getattr(sys.stdout, "encoding", None) or "none"
    yield judge(sys.getfilesystemencoding(), locale.getpreferredencoding(False), printed)


def judge(names: str, text: str, printed: str) -> Finding:
    """Judges the encodings of file names, of text files without a stated one, and of stdout."""
    check = "encoding"
    facts = {"file_names": names, "text": text, "stdout": printed}
    if not _is_utf8(names):
        said = f"file names are read as {names}: those in other scripts are not found"
        return problem(check, said, _ADVICE, **facts)
    others = {kind for kind in (text, printed) if not _is_utf8(kind)}
    if others:
        said = f"file names are UTF-8, but text is {', '.join(sorted(others))}"
        return note(check, said, _ADVICE, **facts)
    return fine(check, "file names and text are UTF-8", **facts)


def _is_utf8(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") == "utf8"
