"""Does what timed_run.py does to a folder, without training: a stand-in for the plan's tests.

    python timed_stand_in.py RECORD …

A command that names an "unlucky" data set fails as train_net.py would, a "silent" one without a
word, a "torn" one leaves half a record, a "greedy" one is killed, and an "endless" one does not
end; it leaves its number beside the data.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(words: list[str]) -> int:
    assert os.environ["OMP_NUM_THREADS"] == "1"
    if any("silent" in word for word in words):
        return 0
    if any("greedy" in word for word in words):
        os.kill(os.getpid(), signal.SIGKILL)
    if endless := [word for word in words if "endless" in word]:
        Path(endless[0].partition("=")[2]).with_name("number.txt").write_text(str(os.getpid()))
        time.sleep(600)
    if any("unlucky" in word for word in words):
        print("Traceback, not for you")
        print("error: the reason", file=sys.stderr)
        return 2
    record = {
        "iterations": 10,
        "seconds": 20.0,
        "cpu_seconds": 5.0,
        "training_seconds": 0.0,
        "evaluation_seconds": 0.0,
        "memory_bytes": 1_000_000_000,
        "on_gpu": False,
    }
    text = json.dumps(record)
    Path(words[0]).write_text(text[:40] if any("torn" in word for word in words) else text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
