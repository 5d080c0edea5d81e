"""train_net.py, whose processes are told to stop, or killed, at moments that a test names.

The variable PLAN holds a JSON list; of each entry {"moment", "at", "rank", "signal", "to"}, the
process of that rank sends the signal at that moment: at the "start", before the "iteration" `at`,
in the "evaluation" after it or while the main process computes its "score". It goes to "self", or
to its "starter" (torchrun, or the parent of --num-gpus).
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from resnext_det.cli.verbs.train import main
from resnext_det.engines import detection
from resnext_det.engines.portable import evaluation
from resnext_det.training.distributed import rank
from resnext_det.training.loop import TrainLoop
from resnext_det.training.preemption import current

_last = -1


def act(moment: str, at: int) -> None:
    for entry in json.loads(os.environ["PLAN"]):
        attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        if (entry["moment"], entry["at"], entry["rank"]) == (moment, at, rank()) and not attempt:
            number = signal.Signals[entry["signal"]]
            os.kill(os.getppid() if entry.get("to") == "starter" else os.getpid(), number)
            _await_it(forever=moment in ("evaluation", "score"))


def _await_it(*, forever: bool) -> None:
    """Until the signal is here; in an evaluation until it has ended that."""
    end = time.monotonic() + 300
    while time.monotonic() < end and (forever or not current().wanted):
        time.sleep(0.01)


def before(owner: Any, name: str, moment: str) -> None:
    """Acts before a function is called."""
    function = getattr(owner, name)

    def acting(*args: Any, **kwargs: Any) -> Any:
        global _last
        if moment == "iteration":
            _last = args[1]
        act(moment, _last)
        return function(*args, **kwargs)

    setattr(owner, name, acting)


before(detection, "open_run", "start")
before(TrainLoop, "_iterate", "iteration")
before(evaluation, "_detect", "evaluation")
before(evaluation, "score", "score")
with suppress(ImportError):
    from resnext_det.engines.d2 import evaluation as d2_evaluation

    before(d2_evaluation, "_evaluate", "evaluation")

if __name__ == "__main__":
    sys.exit(main())
