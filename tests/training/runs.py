"""A run of the loop from a config, as a task makes one, on seeded batches. Engine-neutral."""

import torch
from torch import nn

from resnext_det.training.checkpoint import Checkpointer, load_checkpoint, restore_model
from resnext_det.training.from_config import (
    build_hooks,
    build_loop,
    build_writer,
    solver_from_config,
)
from resnext_det.training.passes import split_list


class Interrupted(Exception):
    pass


class InterruptAfter:
    """A hook that breaks the run off, as a crash would."""

    def __init__(self, last: int) -> None:
        self._last = last

    def before_training(self):
        pass

    def after_iteration(self, iteration):
        if iteration == self._last:
            raise Interrupted

    def after_training(self, iteration):
        pass


def squares(model, batch):
    out = model(torch.stack(list(batch)))
    return {"loss_a": out.square().mean(), "loss_b": out.abs().mean()}


def batches(start, stop=100, images=4):
    """Lists of images (3, 8, 8), the same for an iteration whatever came before."""
    for iteration in range(start, stop):
        generator = torch.Generator().manual_seed(iteration)
        yield list(torch.rand(images, 3, 8, 8, generator=generator))


def train(
    cfg, model: nn.Module, *, evaluate=None, resume=False, interrupt_after=None, losses=squares
):
    """Trains up to SOLVER.MAX_ITER, or on from the last checkpoint; returns loop and hooks.

    Args:
        evaluate: (model, iteration) -> metrics.
    """
    checkpointer = Checkpointer(cfg.OUTPUT_DIR)
    start, state = 0, None
    if resume:
        state = load_checkpoint(checkpointer.latest())
        start = state["iteration"] + 1
        restore_model(model, state, "checkpoint")
    with build_writer(cfg, start) as writer:
        loop = build_loop(
            cfg,
            model,
            torch.device("cpu"),
            losses,
            writer,
            solver=solver_from_config(cfg, model),
            split_batch=split_list,
        )

        def measure(model):
            return evaluate(model, loop.last_iteration) if evaluate else {}

        hooks = build_hooks(cfg, loop, checkpointer, measure, writer)
        if state:
            loop.load_state_dict(state)
        stop = [] if interrupt_after is None else [InterruptAfter(interrupt_after)]
        loop.run(batches(start), start, [*hooks, *stop])
    return loop, hooks


def assert_equal(one, other, where="", *, but=()):
    """Compares whole checkpoints, entry by entry, but those whose places end in one of `but`."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}", but=but)
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for place, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}/{place}", but=but)
    elif not where.endswith(tuple(but)):
        assert one == other, where
