"""What is read or said again only where it is the same: files, and the code that reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from generated_runs import write_run

import resnet_sweep
from resnet_sweep.analysis import figures, load_runs
from resnet_sweep.analysis.code_digest import code_digest
from resnet_sweep.analysis.summary.summarize import Options, summarize
from resnet_sweep.config.errors import UserError

SUMMARIZE = "resnet_sweep.analysis.summary.summarize"


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(figures, "FIGURES", figures.FIGURES[:1])
    for place in range(3):
        write_run(tmp_path / str(place), 0.8 + place / 100, {"optimizer.lr": 0.1 + place})
    return Options(root=tmp_path, output=tmp_path / "summary")


@pytest.mark.slow
def test_a_report_is_made_anew_by_changed_code(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = options.output / "report.html"
    assert summarize(options).num_read == 3
    report.write_text("by the version before", "utf-8")
    kept = report.stat()
    with pytest.MonkeyPatch.context() as patch:  # what a changed file looks like is not asked here
        patch.setattr(f"{SUMMARIZE}._size_and_time", lambda path: [0, 0])
        summarize(options)
    for module in ("resnet_sweep.analysis.archive", SUMMARIZE):
        monkeypatch.setattr(f"{module}.code_digest", lambda: "another")
    assert summarize(options).num_read == 3
    assert report.stat() != kept and "by the version before" not in report.read_text()
    assert summarize(options).num_read == 0


@pytest.mark.slow
def test_only_a_new_run_is_read_by_the_same_code(options: Options) -> None:
    summarize(options)
    write_run(options.root / "new", 0.7)
    assert summarize(options).num_read == 1


@pytest.mark.parametrize("changed", ["analysis/a.py", "analysis/report/report.js", "new.py"])
def test_every_source_counts(changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "analysis/report").mkdir(parents=True)
    for name in ("__init__.py", "analysis/a.py", "analysis/report/report.js", "notes.txt"):
        (tmp_path / name).write_text("before")
    monkeypatch.setattr(resnet_sweep, "__file__", str(tmp_path / "__init__.py"))
    before = code_digest.__wrapped__()
    (tmp_path / "notes.txt").write_text("after")
    assert code_digest.__wrapped__() == before
    (tmp_path / changed).write_text("after")
    assert code_digest.__wrapped__() != before


def test_peak_memory_is_offered_where_it_is_a_runs_own(options: Options) -> None:
    def by_memory() -> list[str]:
        options_now = Options(options.root, options.output, objective="peak_memory_bytes")
        return [row[-3] for row in summarize(options_now).leaderboard.rows]

    with pytest.raises(UserError, match="objective=peak_memory_bytes"):
        by_memory()
    gpu = {"device": "NVIDIA H100"}
    write_run(options.root / "large", settings={"seed": 1}, peak_memory_bytes=2**31, **gpu)
    write_run(options.root / "small", settings={"seed": 2}, peak_memory_bytes=2**30, **gpu)
    write_run(options.root / "large_lr", 0.9, {"optimizer.lr": 7.0}, device="NVIDIA H100")
    measured = {"device": "cpu", "precision": "fp32"}
    write_run(options.root / "cpu", settings={"seed": 3}, peak_memory_bytes=2**29, **measured)
    runs = load_runs(options.root).set_index("run")["peak_memory_bytes"]
    assert runs[["0", "1", "2"]].isna().all() and runs["small"] == 2**30 and runs["cpu"] == 2**29
    assert "0" not in by_memory() and by_memory()[0] == "large_lr"
