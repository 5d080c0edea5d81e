"""Losses on a test set: their mean, and a model that is left as it was. Engine-neutral."""

import json
from pathlib import Path

import pytest
import torch

from resnext_det.training import distributed
from resnext_det.training.launch import launch
from resnext_det.training.place import Request
from resnext_det.training.validation import mean_losses
from tests.training.conftest import NormNet
from tests.training.runs import squares


def test_it_is_the_mean_over_images_not_over_batches():
    sizes = {3: 1.0, 1: 5.0}
    losses = mean_losses(
        NormNet(),
        [[0, 0, 0], [0]],
        lambda model, batch: {"loss_a": torch.tensor(sizes[len(batch)]), "loss_b": torch.ones(())},
    )
    assert losses == {"total_loss": 3.0, "loss_a": 2.0, "loss_b": 1.0}  # (3 * 1 + 5) / 4 + 1


def test_norms_use_and_keep_their_running_statistics():
    torch.manual_seed(0)
    net = NormNet(dropout=0.5)
    net.norm.running_mean.fill_(0.3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = list(torch.rand(4, 3, 8, 8))
    modes = []
    net.fc.register_forward_hook(lambda module, args, out: modes.append(module.training))
    together = mean_losses(net, [images], squares)
    one_by_one = mean_losses(net, [[image] for image in images], squares)
    assert all(modes)  # training mode elsewhere: detectors give losses in it alone
    assert together == pytest.approx(one_by_one, rel=1e-5)
    expected = squares(net.eval(), images)
    assert together["loss_a"] == pytest.approx(expected["loss_a"].item(), rel=1e-6)
    assert not net.training
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in net.parameters())


def test_no_images_have_no_loss():
    assert mean_losses(NormNet(), [], squares) == {}


def validate(folder: str) -> None:
    """Runs in each process: one has three images, the other has one."""
    mine = distributed.rank()
    share = [torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([3.0])] if mine == 0 else []
    losses = mean_losses(
        NormNet(), share or [torch.tensor([6.0])], lambda model, batch: {"loss": batch.mean()}
    )
    Path(folder, f"{mine}.json").write_text(json.dumps(losses))


def test_processes_share_the_images(tmp_path):
    launch(validate, Request(num_gpus=2), (str(tmp_path),))
    for rank in (0, 1):
        shared = json.loads((tmp_path / f"{rank}.json").read_text())
        assert shared == {"total_loss": 3.0, "loss": 3.0}  # (1 + 2 + 3 + 6) / 4
