"""Which sources a run is made by: what must be the same in all runs of a study. Engine-neutral.

python -m projects.studies.code_version SOURCES fails where this checkout's are others.
"""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_APART = ("cli", "reports", "statistics")  # nothing that is trained passes through these
_CHANGED = " with changes"


@dataclass(frozen=True)
class CodeVersion:
    """The code of one run.

    Attributes:
        package: version of resnext-det; "" where it is not installed.
        sources: SHA-256 over the package's sources that training passes through.
        commit: of the checkout, and whether those sources had been changed; None outside git.
    """

    package: str
    sources: str
    commit: str | None

    def __str__(self) -> str:
        commit = "no commit"
        if self.commit:
            name = self.commit.removesuffix(_CHANGED)
            commit = f"commit {name[:12]}{self.commit.removeprefix(name)}"
        return f"sources {self.sources[:12]} ({commit})"

    @property
    def how_to_return(self) -> str:
        """How a user gets these sources back, as the beginning of a sentence."""
        if self.commit and not self.commit.endswith(_CHANGED):
            return f"check out commit {self.commit[:12]}"
        return "bring those sources back"

    def to_json(self) -> dict[str, str | None]:
        """Returns it as records and results hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, str | None]) -> "CodeVersion":
        """Reads what `to_json` wrote."""
        return cls(content["package"] or "", content["sources"] or "", content["commit"])


def code_version(repository: Path = REPOSITORY) -> CodeVersion:
    """Returns what a run of train_net.py that starts now is made by."""
    return CodeVersion(_package(), sources_digest(repository / "resnext_det"), _commit(repository))


def current_sources() -> str:
    """Returns the digest of this checkout's sources alone, which is quick to have."""
    return sources_digest(REPOSITORY / "resnext_det")


def sources_digest(package: Path) -> str:
    """Returns the SHA-256 over names and contents of a package's modules, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in _APART:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{content} {name.as_posix()}\n".encode())
    return digest.hexdigest()


def _package() -> str:
    try:
        return metadata.version("resnext-det")
    except metadata.PackageNotFoundError:
        return ""


def _commit(repository: Path) -> str | None:
    top = _git(repository, "rev-parse", "--show-toplevel")
    commit = _git(repository, "rev-parse", "HEAD")
    # A copy without history may lie inside another repository, whose commits say nothing of it.
    if not top or not commit or Path(top).resolve() != repository.resolve():
        return None
    apart = [f":(exclude)resnext_det/{name}" for name in _APART]
    changes = _git(repository, "status", "--porcelain", "--", "resnext_det/*.py", *apart)
    return commit + _CHANGED if changes else commit


def _git(repository: Path, *words: str) -> str | None:
    """What git prints; None where there is no git or it refuses."""
    given = ["git", "-C", str(repository), *words]
    try:
        done = subprocess.run(given, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def main(expected: str) -> int:
    """Returns 0 where the sources are the expected ones, else says so and returns 2."""
    found = current_sources()
    if found == expected:
        return 0
    print(f"error: the sources are {found[:12]} now, but {expected[:12]} began", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
