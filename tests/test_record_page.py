"""The record's page: rows from run folders, between the marked lines and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from generated_runs import write_run
from scipy import stats

from resnet_sweep.errors import UserError
from resnet_sweep.recording.page import write_record

PAGE = "# Mine\n\n<!-- small: begin -->\nold\n<!-- small: end -->\n\nthe rest\n"
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
