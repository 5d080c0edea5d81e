"""The settings that were found fastest on this machine, kept between runs. Engine-neutral.

They are in `acceleration/machine.json` of the cache folder (`RESNEXT_DET_CACHE` moves it), which
several machines may share: what was measured counts for the same processor or GPU under the same
version of torch, and for no other.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from resnext_det.acceleration.setting import Acceleration, acceleration_of_dict
from resnext_det.cache_folder import cache_folder, locked
from resnext_det.errors import UserError
from resnext_det.json_files import read_json
from resnext_det.timing.conditions import cpu_name
from resnext_det.timing.results import as_text
from resnext_det.whole_files import write_text_safe

Mode = Literal["inference", "training"]
MODES: tuple[Mode, ...] = get_args(Mode)
FORMAT = 1
"""Of the file; it rises when an older program would misread it."""


def settings_file() -> Path:
    """Returns where the settings are kept; the file need not be there."""
    return cache_folder("acceleration") / "machine.json"


def machine_name(device: torch.device) -> str:
    """Names what a measured setting counts for: kind of device, processor or GPU, torch.

    As in "cpu, AMD EPYC 9R14, torch 2.15.0".
    """
    if device.type == "cuda":
        chip = torch.cuda.get_device_name(device)
    else:
        chip = cpu_name() or platform.machine()
    return f"{device.type}, {chip}, torch {torch.__version__}"


def saved_acceleration(device: torch.device, mode: Mode) -> Acceleration | None:
    """Returns the setting that was saved for a device of this machine; None where none was.

    Raises:
        UserError: the file is broken or another program's.
    """
    path = settings_file()
    entry = _read(path).get(machine_name(device), {}).get(mode)
    return None if entry is None else _setting(entry, path)


def save_acceleration(
    setting: Acceleration,
    device: torch.device,
    mode: Mode,
    measured: Mapping[str, Any] | None = None,
) -> Path:
    """Saves what `saved_acceleration` returns from now on; other machines' settings stay.

    Args:
        setting: is to be used on the device.
        device: of this machine.
        mode: what it is used for.
        measured: numbers and strings that say why; for whoever reads the file.

    Returns:
        The file.

    Raises:
        UserError: the folder cannot be written, or the file there is broken or another program's.
    """
    path = settings_file()
    with locked(path):
        machines = _read(path)
        entry = {"setting": setting.to_dict(), "measured": dict(measured or {})}
        machines.setdefault(machine_name(device), {})[mode] = entry
        text = as_text({"format": FORMAT, "machines": dict(sorted(machines.items()))})
        write_text_safe(path, f"{text}\n")
    return path


def check_savable() -> None:
    """Checks, before anything is measured, that a setting can be saved.

    Raises:
        UserError: as `save_acceleration`.
    """
    path = settings_file()
    with locked(path):
        _read(path)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Reads machine -> mode -> entry; nothing where there is no file."""
    if not os.path.exists(path):  # Path.exists raises where a folder is closed to us
        return {}
    try:
        content = read_json(path)
    except UserError as error:
        raise UserError(f"{error}; {_mend(path)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("machines"), dict):
        raise UserError(f"{path}: holds no settings of machines; {_mend(path)}")
    if content.get("format") != FORMAT:
        found = content.get("format")
        raise UserError(f"{path}: has format {found!r}, not {FORMAT}; {_mend(path)}")
    machines = content["machines"]
    if not all(isinstance(modes, dict) for modes in machines.values()):
        raise UserError(f"{path}: holds no settings of machines; {_mend(path)}")
    return machines


def _setting(entry: Any, path: Path) -> Acceleration:
    values = entry.get("setting") if isinstance(entry, dict) else None
    if not isinstance(values, dict):
        raise UserError(f"{path}: an entry has no setting; {_mend(path)}")
    try:
        return acceleration_of_dict(values, str(path))
    except UserError as error:
        raise UserError(f"{error}; {_mend(path)}") from error


def _mend(path: Path) -> str:
    return (
        f"remove {path.name}, after which the built-in settings count until `resnext-det "
        "benchmark` writes it anew"
    )
