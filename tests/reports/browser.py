"""Headless Chromium, driven over a pipe by its DevTools protocol.

python -m tests.reports.browser PAGE FOLDER    writes screenshots at 360 and 1280 pixels and a PDF
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find_browser() -> str | None:
    """Returns the browser's path, or None where none is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a browser with a fresh profile.

    Attributes:
        messages: what its console said, errors of loading included.
    """

    def __init__(self, program: str) -> None:
        self.messages: list[str] = []
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._number = 0
        self._session = ""
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser reads from descriptor 3 and writes to 4.
        words = [program, *_FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        shell = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb")
        self._in = os.fdopen(ours_in, "rb")

    def __enter__(self) -> Self:
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(entry["targetId"] for entry in targets if entry["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.close()
        try:
            self._process.wait(10)  # it ends when its pipe does
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._in.close()
        self._profile.cleanup()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends one command and returns its result; events until then go to `messages`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        for answer in self._answers():
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
        raise AssertionError("the browser ended")

    def open(self, page: Path, width: int, height: int, *, dark: bool = False) -> None:
        """Loads a page in a window of a size in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=page.resolve().as_uri())
        while self.value("document.readyState") != "complete":
            pass

    def value(self, expression: str) -> Any:
        """Returns the value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, *, whole: bool = False) -> bytes:
        """Returns a PNG of the window, or of the whole page."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        return base64.b64decode(data)

    def pdf(self) -> bytes:
        """Returns the page as printed, with the page's own paper size."""
        data = self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
        return base64.b64decode(data)

    def _answers(self) -> Iterator[dict[str, Any]]:
        buffer = b""
        while piece := self._in.read1(1 << 16):
            buffer += piece
            while b"\0" in buffer:
                text, _, buffer = buffer.partition(b"\0")
                answer = json.loads(text)
                self._note(answer)
                yield answer

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.consoleAPICalled":
            self.messages.append(json.dumps(params["args"]))
        if event.get("method") == "Runtime.exceptionThrown":
            self.messages.append(json.dumps(params["exceptionDetails"]))
        if event.get("method") == "Log.entryAdded":
            self.messages.append(params["entry"]["text"])


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Starts the installed browser."""
    program = find_browser()
    assert program
    with Browser(program) as browser:
        yield browser


def look(page: Path, folder: Path) -> None:
    """Writes screenshots of the whole page and a PDF."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_browser() as browser:
        for width, height, dark in ((360, 800, False), (1280, 900, False), (1280, 900, True)):
            browser.open(page, width, height, dark=dark)
            tall = browser.value("document.documentElement.scrollHeight")
            wide = browser.value("document.documentElement.scrollWidth")
            name = f"{width}{'_dark' if dark else ''}"
            (folder / f"{name}.png").write_bytes(browser.screenshot(whole=True))
            print(f"{width}: the page is {wide} wide, {tall} tall")
        (folder / "page.pdf").write_bytes(browser.pdf())
        print(browser.messages)


if __name__ == "__main__":
    look(Path(sys.argv[1]), Path(sys.argv[2]))
