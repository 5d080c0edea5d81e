"""Which setting a detector is run with. Engine-neutral."""

import logging

import torch

from resnext_det.acceleration.ability import (
    can_keep_memory,
    can_pool_fast,
    check_acceleration,
    computes_bfloat16,
)
from resnext_det.acceleration.machine import Mode, saved_acceleration
from resnext_det.acceleration.setting import (
    EXACT,
    OF_INFERENCE,
    Acceleration,
    acceleration_of_words,
    check_for_inference,
)
from resnext_det.errors import UserError

AUTO = "auto"
logger = logging.getLogger(__name__)


def choose_acceleration(words: str, device: torch.device, mode: Mode) -> Acceleration:
    """Returns the setting that is meant.

    Args:
        words: "auto" is what was saved for this machine, where it can still be had, else
            `default_acceleration`; others see `acceleration_of_words`.
        device: what is computed on.
        mode: what for.

    Raises:
        UserError: the words mean nothing or are of training, where inference is meant; or the
            file of saved settings is broken.
    """
    if words.strip() != AUTO:
        if mode == "training":
            return acceleration_of_words(words)
        setting = acceleration_of_words(words, listed=OF_INFERENCE)
        check_for_inference(setting)
        return setting
    saved = saved_acceleration(device, mode)
    if saved is None:
        return default_acceleration(device, mode)
    try:
        check_acceleration(saved, device, mode)
    except UserError as error:  # a compiler that is gone, for one
        logger.warning("this machine's saved setting is not used: %s", error)
        return default_acceleration(device, mode)
    return saved


def default_acceleration(device: torch.device, mode: Mode) -> Acceleration:
    """Returns what is used where nothing was saved.

    Training is exact, so that its numbers do not change unasked. Inference takes what costs hardly
    any start-up: bfloat16 where the device multiplies it natively, else float32.
    """
    if mode == "training" or device.type not in ("cpu", "cuda"):
        return EXACT
    on_cpu = device.type == "cpu"
    bfloat16 = computes_bfloat16(device)
    return Acceleration(
        precision="bfloat16" if bfloat16 else "float32",
        channels_last=True,
        fold_norms=True,
        fast_pooling=can_pool_fast(device),
        winograd=on_cpu and not bfloat16,
        keep_memory=on_cpu and can_keep_memory(),
        cuda_graphs=not on_cpu,
    )
