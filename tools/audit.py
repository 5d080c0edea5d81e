"""Looks for known weaknesses in all packages that are pinned or installed. Engine-neutral.

`make audit` runs it; pip-audit, in an environment of its own, does the asking. Looked at are the
pins of constraints.txt and what is installed beside them (what torch brings for CUDA, say).

Exit status: 0 if nothing is known against any of them, and also where nobody could be asked,
which one line says; 1 if something is; 2 if the look itself is at fault.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PINS = ROOT / "constraints.txt"
TOOL = ROOT / "requirements-audit.txt"
IGNORED = ROOT / "tools" / "audit_ignored.txt"
ENVIRONMENT = Path(sys.prefix) / "audit"
NOT_PUBLISHED = ("resnext-det", "detectron2")
"""On no package index; Detectron2's name there is somebody else's."""
SECONDS = 600  # all of it, installing included
_SILENCE = re.compile(
    r"connect|timed? ?out|resolv|resolution|unreachable|max retries|proxy|\bssl\b|certificate|"
    r"redirecting|\b(429|5\d\d)\b|serviceerror|service unavailable|no matching distribution|"
    r"network",
    re.IGNORECASE,
)


class NotAskedError(Exception):
    """Nobody could be asked; why, in one line."""


class FaultError(Exception):
    """The look itself is at fault; how, in one line."""


class Advisory(NamedTuple):
    """Something known against a package.

    Attributes:
        package: name and version.
        name: of the advisory.
        mended_in: the versions that are free of it.
    """

    package: str
    name: str
    mended_in: tuple[str, ...]

    def __str__(self) -> str:
        mended = ", ".join(self.mended_in) or "no version yet"
        return f"{self.package}: {self.name}, mended in {mended}"


def canonical(name: str) -> str:
    """Returns a package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(pins: str, installed: Mapping[str, str]) -> list[list[str]]:
    """Returns NAME==VERSION of all that is to be looked at, in rounds.

    pip-audit takes a package once. So the first round has the pins and what is installed beside
    them, and a second one, where it is needed, what is installed in another version than pinned.

    Args:
        pins: the text of constraints.txt.
        installed: package -> version.
    """
    lines = (line.strip() for line in pins.splitlines() if line.strip() and line[0] != "#")
    pinned = {canonical(name): version for name, _, version in (p.partition("==") for p in lines)}
    # 2.15.0+cu132 is 2.15.0 to an index: what follows says who built it.
    here = {canonical(name): version.partition("+")[0] for name, version in installed.items()}
    others = {n: version for n, version in here.items() if pinned.get(n, version) != version}
    rounds = (_wanted(here | pinned), _wanted(others))
    return [names for names in rounds if names]


def _wanted(versions: Mapping[str, str]) -> list[str]:
    return [f"{name}=={versions[name]}" for name in sorted({*versions} - {*NOT_PUBLISHED})]


def read_ignored(text: str) -> list[str]:
    """Returns the advisories to pass over.

    Raises:
        FaultError: one stands there without a reason.
    """
    names = []
    for line in text.splitlines():
        name, _, reason = line.strip().partition(" ")
        if name.startswith("#") or not name:
            continue
        if not reason.strip():
            raise FaultError(f"{IGNORED.name}: {name} stands there without a reason")
        names.append(name)
    return names


def ask(tool: Sequence[str], wanted: Sequence[str], ignored: Sequence[str]) -> list[dict[str, Any]]:
    """Asks about packages.

    Args:
        tool: the command of pip-audit.
        wanted: NAME==VERSION of each.
        ignored: advisories to pass over.

    Returns:
        What pip-audit's JSON says of each.

    Raises:
        NotAskedError: the advisory service does not answer.
        FaultError: pip-audit failed otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "packages.txt"
        file.write_text("\n".join(wanted) + "\n")
        options = ["-r", str(file), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        options += ["--format", "json", "--desc", "off"]
        options += [word for name in ignored for word in ("--ignore-vuln", name)]
        done = run([*tool, *options])
    try:
        return json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        raise failure(done.stderr, f"pip-audit ended with status {done.returncode}") from None


def failure(stderr: str, otherwise: str) -> NotAskedError | FaultError:
    """Returns what a command's last words mean: a network that is silent, or a fault."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else otherwise
    silent = any(_SILENCE.search(line) for line in lines[-5:])
    return NotAskedError(last) if silent else FaultError(last)


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end.

    Raises:
        NotAskedError: it takes too long, as it does where a network swallows everything.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise NotAskedError(f"no answer within {SECONDS} s") from None


def install(folder: Path = ENVIRONMENT) -> list[str]:
    """Installs pip-audit unless these pins are there already; returns its command.

    Raises:
        NotAskedError: the package index does not answer.
        FaultError: it cannot be installed.
    """
    done, wanted = folder / "installed.txt", TOOL.read_text()
    python = folder / "bin" / "python"
    if not done.exists() or done.read_text() != wanted:
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [*pip, "-r", str(TOOL)],
        ):
            finished = run(command)
            if finished.returncode:
                raise failure(finished.stderr, f"{command[0]} failed")
        done.write_text(wanted)
    return [str(python), "-m", "pip_audit"]


def judge(answers: Sequence[Mapping[str, Any]]) -> tuple[list[Advisory], list[str]]:
    """Returns what is known against the packages, and those of which the service knows nothing.

    Raises:
        NotAskedError: it knows none of them, as an index without advisories does.
    """
    skipped = [answer["name"] for answer in answers if "skip_reason" in answer]
    if len(skipped) == len(answers):
        raise NotAskedError("the service knows none of the packages")
    advisories = [
        Advisory(f"{answer['name']} {answer['version']}", found["id"], (*found["fix_versions"],))
        for answer in answers
        for found in answer.get("vulns", ())
    ]
    return advisories, skipped


def main(tool: Sequence[str] | None = None, installed: Mapping[str, str] | None = None) -> int:
    """Looks, and says what was found.

    Args:
        tool: the command of pip-audit; installed where it is None.
        installed: package -> version; what this interpreter has where it is None.

    Returns:
        The exit status; see the module's first lines.
    """
    if installed is None:
        installed = {found.name: found.version for found in metadata.distributions() if found.name}
    rounds = packages(PINS.read_text(), installed)
    try:
        ignored = read_ignored(IGNORED.read_text())
        command = install() if tool is None else tool
        answers = [answer for wanted in rounds for answer in ask(command, wanted, ignored)]
        advisories, skipped = judge(answers)
    except NotAskedError as error:
        count = sum(map(len, rounds))
        print(f"audit: NOT AUDITED, nobody could be asked about {count} packages: {error}")
        return 0
    except FaultError as error:
        print(f"audit: cannot look: {error}", file=sys.stderr)
        return 2
    looked_at = f"audit: {len(answers) - len(skipped)} packages looked at"
    unknown = f", {len(skipped)} not known to the service" if skipped else ""
    passed_over = f", {len(ignored)} advisories passed over (see {IGNORED.name})" if ignored else ""
    print(f"{looked_at}{unknown}{passed_over}: {len(advisories)} known weaknesses")
    for advisory in advisories:
        print(f"  {advisory}", file=sys.stderr)
    return 1 if advisories else 0


if __name__ == "__main__":
    sys.exit(main())
