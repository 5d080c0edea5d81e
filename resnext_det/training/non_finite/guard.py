"""What is done about an update that is not finite: stop, or skip it. Engine-neutral."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from resnext_det.errors import UserError, few
from resnext_det.training.distributed import is_main
from resnext_det.training.non_finite.advice import what_to_try
from resnext_det.training.non_finite.bundle import BundleWriter
from resnext_det.training.non_finite.facts import Trouble, largest_gradient
from resnext_det.training.non_finite.state_before import StateBefore
from resnext_det.training.non_finite.step import Step, bad_names, largest, saved_buffers
from resnext_det.training.parts import Stateful

MOST_SKIPPED = 10
"""Updates in a row that SOLVER.NON_FINITE "skip" leaves out; one more ends the run."""
MOST_OVERFLOWS = 30
"""Updates in a row that float16's scaler may leave out: it halves its scale each time, and has
2**16 at first."""
LOWEST_SCALE = 1.0
"""A gradient that overflows at this scale or below is not the scaler's doing."""
_LISTED = 100  # iterations that checkpoints and result.json name

logger = logging.getLogger(__name__)


class NonFiniteGuard:
    """Decides, in every process alike, whether the parameters are updated.

    Args:
        model: not wrapped.
        optimizer: its parameters are those that are looked at.
        scaler: float16's; it may leave out updates by itself.
        skips: SOLVER.NON_FINITE is "skip".
        bundles: keeps what went wrong; None keeps nothing.
        parts: state beside buffers that the forward pass changes; see `StateBefore`.

    Attributes:
        parameters: that are trained.
        buffers: running statistics and their like, by name.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        *,
        skips: bool = False,
        bundles: BundleWriter | None = None,
        parts: Mapping[str, Stateful] | None = None,
    ) -> None:
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.buffers = saved_buffers(model)
        self._model = model
        self._optimizer = optimizer
        self._scaler = scaler
        self._skips = skips
        self._bundles = bundles
        self._before = StateBefore(model, parts or {})
        self._skipped = self._in_a_row = self._overflows = 0
        self._iterations: list[int] = []

    def remember(self) -> None:
        """Takes the state before an update."""
        self._before.remember()

    def allows(self, step: Step, iteration: int, batch: Any) -> bool:
        """Tells whether the parameters may be updated.

        Where not, nothing of the step is left: parameters, optimizer and scaler have not been
        touched, and buffers are as they were.

        Args:
            step: what the passes gave.
            iteration: counted from 0.
            batch: this process's share, for the bundle.

        Raises:
            FloatingPointError: the run ends here, with one line that says why.
        """
        overflows = self._scaler.is_enabled() and step.is_overflow
        self._overflows = self._overflows + 1 if overflows else 0
        if step.is_finite or (overflows and self._is_left_to_scaler()):
            self._in_a_row = 0
            return True
        self._before.put_back()
        reason = step.reason() + self._if_too_large_together(step)
        if overflows:
            scale = self._scaler.get_scale()
            reason += f", float16's scale {scale:g} after {self._overflows} overflow(s)"
        if self._skips and self._in_a_row < MOST_SKIPPED:
            self._skip(step, iteration, batch, reason)
            return False
        if self._skips:
            reason += f", after {self._in_a_row} skipped updates in a row"
        raise FloatingPointError(self._keep(step, iteration, batch, reason))

    def check_weights(self, iteration: int) -> None:
        """Checks parameters and buffers after an update, as before they are saved.

        Raises:
            FloatingPointError: one is not finite.
        """
        with torch.no_grad():
            looked_at = [nn.utils.get_total_norm(self.parameters), largest(self.buffers.values())]
            if all(math.isfinite(float(value)) for value in looked_at):
                return
        names = bad_names(dict(self._model.named_parameters()))
        buffers = bad_names(self.buffers)
        if not names and not buffers:
            return  # finite, though too large for their norm
        kind = "parameter(s)" if names else "running statistic(s)"
        names += buffers
        reason = f"after the update {len(names)} {kind} not finite, {few(names)}"
        raise FloatingPointError(f"{self._said(iteration, reason)}; not saved; {what_to_try()}")

    def say_skipped(self, iterations: int) -> None:
        """Says at the end of a run of so many iterations how many updates were skipped."""
        if self._skipped and is_main():
            logger.warning(
                "%d of %d update(s) were skipped as not finite; a lower SOLVER.BASE_LR or "
                "SOLVER.CLIP_GRADIENTS may help",
                self._skipped,
                iterations,
            )

    def summary(self) -> dict[str, Any]:
        """Returns what result.json says: how many updates were skipped, and which first."""
        return {"skipped": self._skipped, "iterations": list(self._iterations)}

    def state_dict(self) -> dict[str, Any]:
        """Returns the counts for a checkpoint."""
        in_a_row = {"in_a_row": self._in_a_row, "overflows": self._overflows}
        return {**self.summary(), **in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the counts back.

        Raises:
            UserError: the checkpoint holds something else.
        """
        counts = [state.get(name) for name in ("skipped", "in_a_row", "overflows")]
        iterations = state.get("iterations")
        if not isinstance(iterations, list) or {type(n) for n in [*counts, *iterations]} != {int}:
            raise UserError(
                "the checkpoint's count of skipped updates, its entry non_finite, is damaged: go "
                "on from an earlier checkpoint"
            )
        self._skipped, self._in_a_row, self._overflows = (int(count or 0) for count in counts)
        self._iterations = iterations

    def _is_left_to_scaler(self) -> bool:
        return self._overflows <= MOST_OVERFLOWS and self._scaler.get_scale() > LOWEST_SCALE

    def _if_too_large_together(self, step: Step) -> str:
        """Says so where each gradient is finite and the norm of all is too large for float32."""
        found = largest_gradient(self._model) if step.is_overflow else None
        if found is None:
            return ""
        name, norm = found
        return f" though each gradient is, the largest that of {name} ({norm:.3g})"

    def _skip(self, step: Step, iteration: int, batch: Any, reason: str) -> None:
        is_first = self._skipped == 0
        line = self._said(iteration, reason)
        if is_first:
            line = self._keep(step, iteration, batch, reason)
        self._skipped += 1
        self._in_a_row += 1
        if len(self._iterations) < _LISTED:
            self._iterations.append(iteration)
        if is_main():
            logger.warning("Update skipped (%d so far): %s", self._skipped, line)

    def _keep(self, step: Step, iteration: int, batch: Any, reason: str) -> str:
        """Leaves a bundle; returns the whole message."""
        trouble = Trouble(
            iteration=iteration,
            reason=reason,
            step=step,
            batch=batch,
            rates=[float(group["lr"]) for group in self._optimizer.param_groups],
            model=self._model,
            scaler=self._scaler.state_dict(),
            parts=self._before.states,
        )
        what = self._said(iteration, reason)
        if self._bundles is None:
            return f"{what}; {what_to_try()}"
        return f"{what}; {self._bundles.write(trouble)}"

    def _said(self, iteration: int, reason: str) -> str:
        rate = self._optimizer.param_groups[0]["lr"]
        return f"iteration {iteration}: {reason}, learning rate {rate:.4g}"
