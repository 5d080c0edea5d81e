"""Does what train_net.py does to a folder, without training: a stand-in for the runner's tests.

    python stand_in.py [--resume] --config-file MODE … OUTPUT_DIR FOLDER

MODE: "good" writes everything; "bad" fails half-way; "slow" writes a checkpoint and then
waits to be interrupted, unless it is resumed; "stopped" writes one and ends as if it had been
told to, unless it is resumed; "silent" ends well without a result;
"meets NAME" is good once NAME, in the folder beside it, has begun; "waits" once a file `go` lies
beside its folder.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(words: list[str]) -> int:
    mode, folder = words[words.index("--config-file") + 1], Path(words[-1])
    with (folder / "starts.txt").open("a") as starts:
        starts.write(f"{'resumed' if '--resume' in words else 'new'} {time.monotonic()}\n")
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    seen = {"words": words, **{name: os.environ.get(name) for name in names}}
    (folder / "seen.json").write_text(json.dumps(seen))
    line = {"iteration": 19, "total_loss": 1.5}
    (folder / "metrics.json").write_text(json.dumps(line) + "\n")
    print("half-way through")
    if mode == "bad":
        print("error: the reason", file=sys.stderr)
        return 2
    if mode == "slow" and "--resume" not in words:
        (folder / "last_checkpoint").write_text("model_0000019.pth")
        time.sleep(60)
    if mode == "stopped" and "--resume" not in words:
        (folder / "last_checkpoint").write_text("model_0000019.pth")
        return 75
    if mode.startswith("meets "):
        wait_for(folder.parent / mode.removeprefix("meets ") / "starts.txt")
    if mode == "waits":
        wait_for(folder.parent / "go")
    if mode != "silent":
        with (folder / "metrics.json").open("a") as metrics:
            metrics.write(json.dumps({"iteration": 39, "bbox/AP50": 41.26}) + "\n")
        (folder / "result.json").write_text("{}")
    with (folder / "starts.txt").open("a") as starts:
        starts.write(f"ended {time.monotonic()}\n")
    return 0


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
