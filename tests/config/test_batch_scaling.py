"""`SOLVER.REFERENCE_BATCH`: what is scaled, what never is, and what the log says."""

import math

import pytest

from resnext_det.config import config_root, dump_config, load_config
from resnext_det.errors import UserError

BASE = "resnext_det://Base-RCNN-FPN.yaml"
SHIPPED = sorted(
    path.relative_to(config_root()).as_posix() for path in config_root().rglob("*.yaml")
)


def write(folder, name, text):
    (folder / name).write_text(text)
    return str(folder / name)


def numbers(loaded):
    solver = loaded.cfg.SOLVER
    return (
        solver.BASE_LR, solver.MAX_ITER, list(solver.STEPS), solver.WARMUP_ITERS,
        solver.CHECKPOINT_PERIOD, loaded.cfg.TEST.EVAL_PERIOD,
    )  # fmt: skip


def test_a_quarter_of_the_batch_takes_a_quarter_of_the_rate_and_four_times_the_iterations():
    loaded = load_config(BASE, ["SOLVER.IMS_PER_BATCH", "4"])
    # 0.02 * 4 / 16; 90000, 60000, 80000, Detectron2's 1000 and 5000, each * 16 / 4; 0 stays
    assert numbers(loaded) == (0.005, 360000, [240000, 320000], 4000, 20000, 0)
    (note,) = loaded.notes
    assert note == (
        "SOLVER.REFERENCE_BATCH is 16 and IMS_PER_BATCH 4: SOLVER.BASE_LR 0.02 -> 0.005, "
        "SOLVER.MAX_ITER 90000 -> 360000, SOLVER.STEPS [60000, 80000] -> [240000, 320000], "
        "SOLVER.WARMUP_ITERS 1000 -> 4000, SOLVER.CHECKPOINT_PERIOD 5000 -> 20000"
    )


def test_the_reference_batch_itself_changes_nothing():
    loaded = load_config(BASE)
    assert numbers(loaded) == (0.02, 90000, [60000, 80000], 1000, 5000, 0)
    assert loaded.notes == ()


def test_without_a_reference_nothing_is_scaled(tmp_path):
    path = write(tmp_path, "a.yaml", "SOLVER: {IMS_PER_BATCH: 2, BASE_LR: 0.3, MAX_ITER: 50000}\n")
    loaded = load_config(path)
    assert numbers(loaded) == (0.3, 50000, [30000], 1000, 5000, 0)
    assert loaded.notes == ()


def test_what_the_command_line_says_is_kept_and_said():
    words = ["SOLVER.IMS_PER_BATCH", "8", "SOLVER.STEPS", "[10, 20]", "TEST.EVAL_PERIOD", "30"]
    loaded = load_config(BASE, words)
    assert numbers(loaded) == (0.01, 180000, [10, 20], 2000, 10000, 30)
    assert loaded.notes[0].endswith("; kept as given: SOLVER.STEPS [10, 20], TEST.EVAL_PERIOD 30")


def test_what_the_users_own_file_says_is_kept(tmp_path):
    own = f"_BASE_: {BASE}\nSOLVER: {{IMS_PER_BATCH: 8, MAX_ITER: 700, STEPS: [500]}}\n"
    loaded = load_config(write(tmp_path, "a.yaml", own))
    # The warm-up of 1000 and the period of 5000 are not stretched beside a length of one's own.
    assert numbers(loaded) == (0.01, 700, [500], 1000, 5000, 0)
    assert loaded.notes[0].endswith(
        "; beside a SOLVER.MAX_ITER of your own, lengths stay as they are"
    )


def test_an_own_file_that_sets_the_reference_is_written_for_it_with_its_bases(tmp_path):
    write(tmp_path, "base.yaml", "SOLVER: {BASE_LR: 0.4, WARMUP_ITERS: 9}\n")
    middle = "_BASE_: base.yaml\nSOLVER: {REFERENCE_BATCH: 16, MAX_ITER: 100, STEPS: [50, 75]}\n"
    write(tmp_path, "middle.yaml", middle)
    own = "_BASE_: middle.yaml\nSOLVER: {IMS_PER_BATCH: 64, CHECKPOINT_PERIOD: 7}\n"
    loaded = load_config(write(tmp_path, "a.yaml", own))
    # Rates times 64 / 16, lengths times 16 / 64 rounded (75 / 4 is 18.75); 7 is the user's.
    assert numbers(loaded) == (1.6, 25, [12, 19], 2, 7, 0)


def test_a_reference_on_the_command_line_is_for_every_file(tmp_path):
    path = write(tmp_path, "a.yaml", "SOLVER: {BASE_LR: 0.02, MAX_ITER: 100, STEPS: [60]}\n")
    words = ["SOLVER.REFERENCE_BATCH", "16", "SOLVER.IMS_PER_BATCH", "8"]
    assert numbers(load_config(path, words))[:3] == (0.01, 200, [120])


def test_the_last_file_that_sets_the_reference_counts(tmp_path):
    own = f"_BASE_: {BASE}\nSOLVER: {{REFERENCE_BATCH: 4, IMS_PER_BATCH: 8, BASE_LR: 0.1}}\n"
    assert numbers(load_config(write(tmp_path, "a.yaml", own)))[:2] == (0.2, 45000)
    off = f"_BASE_: {BASE}\nSOLVER: {{REFERENCE_BATCH: 0, IMS_PER_BATCH: 8}}\n"
    assert numbers(load_config(write(tmp_path, "off.yaml", off)))[:2] == (0.02, 90000)


def test_a_length_above_zero_stays_above_zero(tmp_path):
    text = "SOLVER: {REFERENCE_BATCH: 1, IMS_PER_BATCH: 16, WARMUP_ITERS: 3, MAX_ITER: 32}\n"
    cfg = load_config(write(tmp_path, "a.yaml", text)).cfg
    assert (cfg.SOLVER.WARMUP_ITERS, cfg.SOLVER.MAX_ITER) == (1, 2)


def test_cosine_scales_both_ends(tmp_path):
    text = (
        "SOLVER: {LR_SCHEDULER_NAME: WarmupCosineLR, BASE_LR: 0.2, BASE_LR_END: 0.02, "
        "REFERENCE_BATCH: 16, IMS_PER_BATCH: 8}\n"
    )
    solver = load_config(write(tmp_path, "a.yaml", text)).cfg.SOLVER
    assert (solver.BASE_LR, solver.BASE_LR_END) == (0.1, 0.01)


def test_the_written_config_is_not_scaled_twice(tmp_path):
    words = ["SOLVER.IMS_PER_BATCH", "4", "TEST.EVAL_PERIOD", "50"]
    first = load_config(BASE, words)
    again = load_config(write(tmp_path, "config.yaml", dump_config(first.cfg)))
    assert again.cfg == first.cfg
    assert again.notes == ()
    # It is written for its own batch: with another one, all of it is scaled.
    path = str(tmp_path / "config.yaml")
    other = load_config(path, ["SOLVER.IMS_PER_BATCH", "8"])
    assert numbers(other) == (0.01, 180000, [120000, 160000], 2000, 10000, 25)


def test_a_batch_of_no_images_is_refused_before_it_divides():
    with pytest.raises(UserError, match="SOLVER.IMS_PER_BATCH is 0; it has to be at least 1"):
        load_config(BASE, ["SOLVER.IMS_PER_BATCH", "0"])


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_written_for_their_own_batch(name):
    solver = load_config(f"resnext_det://{name}").cfg.SOLVER
    assert solver.REFERENCE_BATCH in (0, solver.IMS_PER_BATCH)
    assert load_config(f"resnext_det://{name}").notes == ()


def test_the_files_rate_is_known_beside_one_of_the_command_line(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("SOLVER: {BASE_LR: 0.02, REFERENCE_BATCH: 16, IMS_PER_BATCH: 16}\n")
    words = ("SOLVER.IMS_PER_BATCH", 4)
    assert load_config(str(file), words).recipe_rate == pytest.approx(0.02 * 4 / 16)
    loaded = load_config(str(file), (*words, "SOLVER.BASE_LR", 9.0))
    assert (loaded.cfg.SOLVER.BASE_LR, loaded.recipe_rate) == (9.0, pytest.approx(0.005))
    file.write_text("SOLVER: {IMS_PER_BATCH: 16}\n")
    assert load_config(str(file), ("SOLVER.BASE_LR", 9.0)).recipe_rate == math.inf
