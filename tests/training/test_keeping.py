"""SOLVER.KEEP_CHECKPOINTS: the newest stay, and nothing of anybody else goes. Engine-neutral."""

import copy

import pytest

from resnext_det.config import with_values
from resnext_det.training.checkpoint_file import load_checkpoint
from resnext_det.training.keeping import KeptCheckpoints
from resnext_det.whole_files import write_safe
from tests.training.runs import Interrupted, assert_equal, train


def files(tmp_path):
    return sorted(p.name for p in (tmp_path / "run").glob("*.pth"))


@pytest.fixture
def short(cfg):
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    cfg.SOLVER.KEEP_CHECKPOINTS = 2
    return cfg


def test_the_newest_and_the_final_one_stay(short, norm_net, tmp_path):
    train(short, norm_net)
    assert files(tmp_path) == ["model_0000007.pth", "model_0000009.pth", "model_final.pth"]


def test_all_stay_without_it(short, norm_net, tmp_path):
    short.SOLVER.KEEP_CHECKPOINTS = 0
    train(short, norm_net)
    assert files(tmp_path) == [
        *(f"model_000000{i}.pth" for i in (1, 3, 5, 7, 9)),
        "model_final.pth",
    ]


def test_a_resumed_run_deletes_what_it_wrote_before_and_no_other(short, norm_net, tmp_path):
    run = tmp_path / "run"
    write_safe(run / "model_0000000.pth", {})  # looks periodic, and is not of this run
    with pytest.raises(Interrupted):
        train(short, norm_net, interrupt_after=5)
    own = ["model_0000003.pth", "model_0000005.pth"]
    assert files(tmp_path) == ["model_0000000.pth", *own]
    write_safe(run / "model_best.pth", {})
    train(short, norm_net, resume=True)
    newest = ["model_0000007.pth", "model_0000009.pth"]
    assert files(tmp_path) == ["model_0000000.pth", *newest, "model_best.pth", "model_final.pth"]


def test_a_crash_before_deleting_is_made_good(tmp_path):
    kept = KeptCheckpoints(tmp_path, 1)
    for name in ("model_0000001", "model_0000003"):
        write_safe(tmp_path / f"{name}.pth", {})
        kept.will_write(name)
    state = kept.state_dict()  # as the second file holds it, while the first is still there
    again = KeptCheckpoints(tmp_path, 1)
    again.load_state_dict(state)
    again.will_write("model_0000005")
    again.prune()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_had_not_deleted_goes_when_it_goes_on(short, norm_net, tmp_path):
    with pytest.raises(Interrupted):
        train(short, norm_net, interrupt_after=5)
    path = tmp_path / "run/model_0000001.pth"  # as where the kill came before the deletion
    write_safe(path, {})
    train(with_values(short, {"SOLVER.MAX_ITER": 7}), norm_net, resume=True)
    assert not path.exists()


def test_checkpoints_of_a_resumed_run_name_the_same_files(short, norm_net, tmp_path):
    whole = with_values(short, {"OUTPUT_DIR": str(tmp_path / "whole")})
    train(whole, copy.deepcopy(norm_net))
    for after in (3, 5, 7):
        with pytest.raises(Interrupted):
            train(short, norm_net, resume=after > 3, interrupt_after=after)
    train(short, norm_net, resume=True)
    for name in ("model_0000007", "model_0000009", "model_final"):
        one, other = (load_checkpoint(tmp_path / run / f"{name}.pth") for run in ("whole", "run"))
        assert_equal(one, other)


def test_names_that_no_run_writes_are_never_deleted(tmp_path):
    kept = KeptCheckpoints(tmp_path / "run", 1)
    names = ["../other", "model_final", "model_best", "model_0000001"]
    kept.load_state_dict({"written": names, "passing": names})
    assert kept.state_dict() == {"written": ["model_0000001"], "passing": ["model_0000001"]}


def test_the_list_is_in_the_checkpoint(short, norm_net, tmp_path):
    train(short, norm_net)
    content = load_checkpoint(tmp_path / "run/model_0000009.pth")
    assert content["periodic_checkpoints"]["written"][-2:] == ["model_0000007", "model_0000009"]


def test_one_that_was_only_there_to_go_on_from_goes_when_the_next_is_on_disk(tmp_path):
    kept = KeptCheckpoints(tmp_path, 0)
    for name, passing in (("model_0000002", True), ("model_0000003", False)):
        kept.will_write(name, passing=passing)
        write_safe(tmp_path / f"{name}.pth", {})
        assert (tmp_path / "model_0000002.pth").exists()
        kept.prune()
    assert [path.name for path in tmp_path.iterdir()] == ["model_0000003.pth"]
