"""What was found is read back to the bit, also after a crash, and by its own command alone."""

from contextlib import closing
from pathlib import Path

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.inference.findings import FILE, Finding, Findings
from resnext_det.structures import Detections

COMMAND = {"checkpoint": "abc", "inputs": ["photos"], "--tile": None}


def finding(number: int) -> Finding:
    generator = torch.Generator().manual_seed(number)
    found = Detections(
        torch.rand(number, 4, generator=generator) * 1000,
        torch.rand(number, generator=generator),
        torch.arange(number) % 3,
    )
    return Finding.of((480, 640), found)


def test_reads_back_what_was_found(tmp_path: Path) -> None:
    findings = Findings(tmp_path, COMMAND)
    findings.add({f"{n}.png|1|2": finding(n) for n in range(4)})
    findings.add({"broken": Finding(broken="torn")})
    findings.end_video("clip", 7)
    findings.close()
    again = Findings(tmp_path, COMMAND)
    assert all(again[f"{n}.png|1|2"] == finding(n) for n in range(4))
    assert again["broken"].broken == "torn"
    assert (again.num_frames("clip"), again.num_frames("other")) == (7, None)
    assert "9.png" not in again
    boxes = again["3.png|1|2"].detections()
    assert torch.equal(boxes.boxes, finding(3).detections().boxes)
    assert again["0.png|1|2"].detections().boxes.shape == (0, 4)
    again.close()


@pytest.mark.parametrize("cut", [1, 20, 0], ids=["one letter", "many", "whole"])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    findings = Findings(tmp_path, COMMAND)
    findings.add({"a": finding(2)})
    findings.add({"b": finding(3)})
    findings.close()
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[: -cut or None])
    again = Findings(tmp_path, COMMAND)
    assert ("a" in again, "b" in again) == (True, cut == 0)
    again.add({"b": finding(3)})
    again.close()
    with closing(Findings(tmp_path, COMMAND)) as third:
        assert third["b"] == finding(3)


def test_an_image_that_is_looked_at_again_counts_as_found_last(tmp_path: Path) -> None:
    findings = Findings(tmp_path, COMMAND)
    findings.add({"a": finding(2)})
    findings.add({"a": finding(1)})
    assert findings["a"] == finding(1)
    findings.close()
    with closing(Findings(tmp_path, COMMAND)) as again:
        assert again["a"] == finding(1)


def test_another_commands_folder_is_refused(tmp_path: Path) -> None:
    Findings(tmp_path, COMMAND).close()
    with pytest.raises(UserError, match=r"another command \(inputs: photos there, other"):
        Findings(tmp_path, COMMAND | {"inputs": ["other"]})
    with pytest.raises(UserError, match=r"\(--tile: None there, 800 0\.2 now\): give another"):
        Findings(tmp_path, COMMAND | {"--tile": [800, 0.2]})


@pytest.mark.parametrize(
    "text", ["no json\n", "[]\n", '{"command": 1}\n{"key": "a"}\n{}\n', "[" * 100_000 + "\n"],
    ids=["no json", "list", "no key", "deep"],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=r"progress\.jsonl: damaged|holds the results of another"):
        Findings(tmp_path, COMMAND)
