"""When a run may start, go on, or is over. Engine-neutral."""

import logging

import pytest
import yaml

from resnext_det.errors import UserError
from resnext_det.training import run_directory
from resnext_det.training.checkpoint import Checkpointer, load_checkpoint
from resnext_det.training.result import write_result
from resnext_det.training.run_directory import open_run, settle_seed
from resnext_det.whole_files import write_safe


def save(cfg, model, iteration, name="model_0000004", **extra):
    return Checkpointer(cfg.OUTPUT_DIR, extra=extra).save(name, model=model, iteration=iteration)


def test_a_new_run(cfg, tmp_path):
    start = open_run(cfg, cfg.OUTPUT_DIR, resume=False, engine="portable")
    assert (start.start_iteration, start.checkpoint, start.finished) == (0, None, False)
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["SEED"] == 3


def test_resume_without_a_checkpoint_is_refused(cfg):
    with pytest.raises(UserError, match=r"--resume: .*run holds no checkpoint.*leave --resume out"):
        open_run(cfg, cfg.OUTPUT_DIR, resume=True, engine="portable")


def test_auto_resume_starts_where_there_is_no_checkpoint_and_goes_on_where_there_is(cfg, tiny_net):
    for _ in range(2):  # the second finds what a run leaves that came to no checkpoint
        start = open_run(cfg, cfg.OUTPUT_DIR, resume="auto", engine="portable")
        assert (start.start_iteration, start.checkpoint, start.finished) == (0, None, False)
    path = save(cfg, tiny_net, 4, seed=3)
    start = open_run(cfg, cfg.OUTPUT_DIR, resume="auto", engine="portable")
    assert (start.start_iteration, start.checkpoint, start.finished) == (5, path, False)


def test_auto_resume_keeps_the_best_model_of_a_run_without_a_checkpoint(
    cfg, tiny_net, tmp_path, caplog
):
    best = Checkpointer(cfg.OUTPUT_DIR)
    best.save_best(tiny_net, 2, {"metric": "top1", "value": 1.0, "iteration": 2})
    before = (tmp_path / "run/model_best.pth").read_bytes()
    for resume in (True, False):
        assert "model_best.pth of a run that ended before" in refusal(cfg, resume=resume)
    with caplog.at_level(logging.WARNING):
        start = open_run(cfg, cfg.OUTPUT_DIR, resume="auto", engine="portable")
    assert (start.start_iteration, start.checkpoint) == (0, None)
    assert (tmp_path / "run/model_best_before.pth").read_bytes() == before
    assert not (tmp_path / "run/model_best.pth").exists()
    assert "its best model is kept as model_best_before.pth" in caplog.text


def best_model(cfg, net, value):
    best = {"metric": "top1", "value": value, "iteration": 2}
    Checkpointer(cfg.OUTPUT_DIR).save_best(net, 2, best)


def test_the_best_models_of_several_runs_without_a_checkpoint_are_all_kept(
    cfg, tiny_net, tmp_path, caplog
):
    for value in (1.0, 2.0, 3.0):
        best_model(cfg, tiny_net, value)
        open_run(cfg, cfg.OUTPUT_DIR, resume="auto", engine="portable")
    names = ("model_best_before", "model_best_before_2", "model_best_before_3")
    kept = [load_checkpoint(tmp_path / f"run/{name}.pth")["best"]["value"] for name in names]
    assert kept == [1.0, 2.0, 3.0]
    assert "its best model is kept as model_best_before_3.pth" in caplog.text


def test_a_restart_by_torchrun_keeps_the_best_model_too(cfg, tiny_net, tmp_path, monkeypatch):
    best_model(cfg, tiny_net, 1.0)
    monkeypatch.setattr(run_directory, "goes_on_by_itself", lambda folder: True)
    open_run(cfg, cfg.OUTPUT_DIR, resume=False, engine="portable")
    assert (tmp_path / "run/model_best_before.pth").is_file()
    assert not (tmp_path / "run/model_best.pth").exists()


def test_auto_resume_leaves_the_best_model_of_a_run_that_goes_on(cfg, tiny_net, tmp_path):
    save(cfg, tiny_net, 4, seed=3)
    best = Checkpointer(cfg.OUTPUT_DIR)
    best.save_best(tiny_net, 2, {"metric": "top1", "value": 1.0, "iteration": 2})
    open_run(cfg, cfg.OUTPUT_DIR, resume="auto", engine="portable")
    assert (tmp_path / "run/model_best.pth").is_file()


def test_a_used_folder_without_resume_is_refused_with_both_mends(cfg, tiny_net):
    save(cfg, tiny_net, 4)
    with pytest.raises(UserError, match=r"model_0000004.pth.*--resume.*another OUTPUT_DIR"):
        open_run(cfg, cfg.OUTPUT_DIR, resume=False, engine="portable")


def test_resume_continues_after_the_last_iteration(cfg, tiny_net):
    path = save(cfg, tiny_net, 4, seed=3)
    start = open_run(cfg, cfg.OUTPUT_DIR, resume=True, engine="portable")
    assert (start.start_iteration, start.checkpoint, start.finished) == (5, path, False)
    assert start.state["iteration"] == 4


def test_a_finished_run_does_nothing_and_says_so(cfg, tiny_net, caplog, tmp_path):
    save(cfg, tiny_net, 9, "model_final", seed=3)
    # Trained but not evaluated yet: only the evaluation is left.
    start = open_run(cfg, cfg.OUTPUT_DIR, resume=True, engine="portable")
    assert (start.start_iteration, start.finished) == (10, False)
    write_result(cfg.OUTPUT_DIR, cfg=cfg, engine="portable", seed=3, metrics={})
    before = (tmp_path / "run/config.yaml").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        assert open_run(cfg, cfg.OUTPUT_DIR, resume=True, engine="portable").finished
    assert "finished" in caplog.text
    assert (tmp_path / "run/config.yaml").stat().st_mtime_ns == before


def test_a_longer_schedule_reopens_a_finished_run(cfg, tiny_net):
    save(cfg, tiny_net, 9, "model_final")
    write_result(cfg.OUTPUT_DIR, cfg=cfg, engine="portable", seed=3, metrics={})
    cfg.SOLVER.MAX_ITER = 20
    start = open_run(cfg, cfg.OUTPUT_DIR, resume=True, engine="portable")
    assert (start.start_iteration, start.finished) == (10, False)


def refusal(cfg, *, resume):
    with pytest.raises(UserError) as error:
        open_run(cfg, cfg.OUTPUT_DIR, resume=resume, engine="portable")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_bare_state_dict_is_no_checkpoint_of_a_run(cfg, tiny_net, tmp_path):
    path = save(cfg, tiny_net, 4)
    write_safe(path, tiny_net.state_dict())
    message = refusal(cfg, resume=True)
    assert message.startswith(f"{path}: is no checkpoint of a run (it has no entry 'model')")


@pytest.mark.parametrize("entry", ["model", "iteration"])
def test_entries_that_no_run_writes(cfg, tiny_net, entry):
    path = save(cfg, tiny_net, 4)
    write_safe(path, {**load_checkpoint(path), entry: "x"})
    expected = f"no checkpoint there can be used: {path.name} has an entry {entry!r} that is a str"
    assert expected in refusal(cfg, resume=True)


@pytest.mark.parametrize("config", ["[1, 2", "- 1", "\t: {"])
def test_a_checkpoint_whose_config_cannot_be_read(cfg, tiny_net, config):
    path = save(cfg, tiny_net, 4, config=config)
    assert refusal(cfg, resume=True).startswith(f"{path}: its config is no YAML of config keys")


def test_folders_that_cannot_be(cfg, tmp_path):
    (tmp_path / "run").write_text("")
    assert refusal(cfg, resume=False) == f"OUTPUT_DIR {tmp_path / 'run'} is a file; name a folder"
    cfg.OUTPUT_DIR = str(tmp_path / "run" / "below")
    assert refusal(cfg, resume=False).endswith(
        "below: no folder that can be written to (Not a directory)"
    )


def test_seeds(cfg):
    assert settle_seed(cfg).SEED == 3
    assert settle_seed(cfg, earlier=3).SEED == 3
    with pytest.raises(UserError, match=r"SEED is 3, but .* began with 5"):
        settle_seed(cfg, earlier=5)
    cfg.SEED = -1
    assert settle_seed(cfg, earlier=5).SEED == 5
    assert settle_seed(cfg).SEED >= 0
    assert cfg.SEED == -1


def test_log_lines_reach_log_txt_once(cfg, tmp_path):
    open_run(cfg, cfg.OUTPUT_DIR, resume=False, engine="portable")
    open_run(cfg, cfg.OUTPUT_DIR, resume=False, engine="portable")
    logging.getLogger("resnext_det.anything").info("hello")
    assert (tmp_path / "run/log.txt").read_text().count("hello") == 1
