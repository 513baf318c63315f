"""The record's page: rows from run folders, between the marked lines and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from generated_runs import write_run
from scipy import stats

from benchmarks.record.__main__ import main
from benchmarks.record.page import write_record
from resnet_sweep.config.errors import UserError

PAGE = "# Mine\n\n<!-- small: begin -->\nold\n<!-- small: end -->\n\nthe rest\n"
NAMELESS = b'{"command": "x", "runs": [{"accuracy": 1, "configuration": 3, "run_dir": "0"}]}'
TESTED = {"a": (0.91, 0.93), "b": (0.81, 0.80)}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    runs = []
    for name, accuracies in TESTED.items():
        for accuracy in accuracies:
            number = str(len(runs))
            run_dir = folder / "measured/study/runs" / number
            write_run(run_dir, settings={"model.name": "mine"}, test_accuracy=accuracy)
            runs.append({"configuration": name, "accuracy": 0.0, "run_dir": number})
    values = {"command": "python -m resnet_sweep.measure x", "runs": runs}
    (folder / "measured/measured.json").write_text(json.dumps(values))
    (tmp_path / "RESULTS.md").write_text(PAGE)
    return folder


def test_rows_come_from_run_folders_and_missing_stages_are_named(record: Path) -> None:
    page = record.parent / "RESULTS.md"
    write_record(record, page)
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- small: begin -->") and text.endswith("the rest\n")
    missing = '"Screening", "Survivors of the screening", "One change at a time", "Sweep"'
    assert "old" not in text and f"is what belongs under {missing}." in text
    assert (
        "compared with each other only" in text and "    python -m resnet_sweep.measure x" in text
    )
    for name, accuracies in TESTED.items():
        mean, sd = 100 * np.mean(accuracies), 100 * np.std(accuracies, ddof=1)
        row = next(line for line in text.splitlines() if line.endswith(f"| {name} |"))
        ends = stats.t.interval(0.95, 1, mean, sd / np.sqrt(2))
        low, high = np.clip(ends, 0, 100)  # of "a" 79 to 105
        assert f"| 1,000 | 3 | 2 | {mean:.2f} | {sd:.2f} | {low:.2f} to {high:.2f} |" in row
    write_record(record, page)
    assert page.read_text() == text


def test_runs_of_two_recipes_are_no_row(record: Path) -> None:
    result = record / "measured/study/runs/1/result.json"
    result.write_text(result.read_text().replace('"num_params": 1000', '"num_params": 999'))
    with pytest.raises(UserError, match="no runs of one tested recipe"):
        write_record(record, record.parent / "RESULTS.md")
    assert (record.parent / "RESULTS.md").read_text() == PAGE


def test_a_page_without_the_lines_is_refused(record: Path) -> None:
    page = record.parent / "RESULTS.md"
    page.write_text("# Mine\n")
    with pytest.raises(UserError, match="<!-- small: begin -->"):
        write_record(record, page)
    assert page.read_text() == "# Mine\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("small/measured/measured.json", b'{"command": "x", "runs": [{"accuracy": 0.5}]}', "'conf"),
        ("small/measured/measured.json", b'{"runs": [{"accuracy": 0.5}]}', "has no 'command'"),
        ("small/measured/measured.json", NAMELESS, "configuration is 3, must be text"),
        ("small/measured/measured.json", b'{"command": 3, "runs": []}', "command=3"),
        ("small/measured/measured.json", b"\x93\x00\xff\x1b[2J\n", "is damaged"),
        ("small/measured/measured.json", b"[]", "must be an object, not a list"),
        ("small/sweep/confirm/confirmation.json", b"{", "is damaged"),
        ("small/screening/screening.json", b"", "is damaged"),
        ("small/screening/screening.json", b"{}", "has no 'command'"),
        ("small/ablation/ablation.json", b'{"command": "x", "steps": []}', "is damaged"),
        ("small/screening/follow_up/follow_up.json", b'{"command": "x"}', "has no 'changes'"),
        ("docs", b"a file", "cannot be written"),
        ("RESULTS.md", PAGE.encode("utf-16"), "cannot be read as UTF-8 text"),
    ],
)
def test_what_is_damaged_is_named_in_one_line_and_the_page_stays(
    record: Path, name: str, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page, path = record.parent / "RESULTS.md", record.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    before = page.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main([str(record), str(page)])
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith("error: ") and line.count("\n") == 1
    assert f"{path}: " in line and said in line and line[:-1].isprintable()
    assert page.read_bytes() == before


def test_a_page_that_is_a_link_stays_one_and_keeps_its_line_ends(
    record: Path, tmp_path: Path
) -> None:
    real, link = tmp_path / "RESULTS.md", tmp_path / "elsewhere/link.md"
    real.write_bytes(PAGE.replace("\n", "\r\n").encode())
    link.parent.mkdir()
    link.symlink_to(real)
    write_record(record, link)
    assert link.readlink() == real and real.read_bytes().endswith(b"\r\n\r\nthe rest\r\n")
    assert "compared with each other" in real.read_text()
