"""What measured times depend on: command, versions, hardware, load. Engine-neutral."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from resnext_det.training.result import versions


def conditions(script: str) -> dict[str, Any]:
    """Returns what belongs beside the times in a results file.

    Args:
        script: from the repository's root, for the command.
    """
    return {
        "command": f"python {script} {' '.join(sys.argv[1:])}".strip(),
        "versions": versions(),
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "load_average_at_the_end": list(os.getloadavg()),
    }


def hardware() -> dict[str, Any]:
    """Returns the processor, the number of cores and, where there is one, the GPU."""
    found = {"machine": platform.machine(), "cpu": cpu_name(), "cores": os.cpu_count()}
    return found | {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else found


def cpu_name() -> str:
    """Returns the processor's name, where Linux tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
