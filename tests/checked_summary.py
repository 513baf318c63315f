"""One summary that several test files compare with the raw files, and the raw files' numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raw_numbers as raw
from generated_runs import write_run, write_sweep
from raw_importance import Chosen

from resnet_sweep.analysis import figures
from resnet_sweep.analysis.summary.summarize import Options, Summary, summarize

ALL = 1000


def copy_run(source: Path, target: Path, seed: int, data: dict[str, Any], **result: Any) -> None:
    """Write a run of the same configuration with another seed."""
    write_run(target, 0.5, epochs=json.loads((source / "result.json").read_text())["epochs"])
    for name, changes in (("config.json", {"seed": seed}), ("result.json", result)):
        values = json.loads((source / name).read_text()) | changes
        if name == "config.json":
            values["data"] |= data
            values["train"] |= {"num_threads": 3, "progress": False}  # where and how, not what
            values["model"] |= {"max_params": 6_000_000}
        else:
            values["seed"] = seed
        (target / name).write_text(json.dumps(values))
    (target / "val_predictions.npz").write_bytes((source / "val_predictions.npz").read_bytes())


@pytest.fixture(scope="session")
def checked_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep; its best with fresh seeds, on another split, on all images; what went wrong."""
    root = tmp_path_factory.mktemp("outputs")
    write_sweep(root / "s", trials=80)
    results = {name: run["result"] for name, run in raw.read_runs(root).items()}
    done = {n: r["val_accuracy"] for n, r in results.items() if r["status"] == "completed"}
    best = max(done, key=lambda name: done[name])
    top = done[best]
    for seed, loss in ((31, 0.0003), (32, 0.001), (33, 0.0002)):
        accuracy = top - loss
        numbers = {"val_accuracy": accuracy, "objective": accuracy, "test_accuracy": top - 0.02}
        copy_run(root / best, root / f"fresh/{seed}", seed, {}, **numbers)
        numbers = {"val_accuracy": accuracy - 0.01, "objective": accuracy - 0.01}
        copy_run(root / best, root / f"other/{seed}", seed, {"split_seed": 9}, **numbers)
        numbers = {"val_accuracy": None, "objective": None, "test_accuracy": top + loss}
        copy_run(root / best, root / f"all/{seed}", seed, {"val_size": 0.0}, **numbers)
    write_run(root / "nan", float("nan"), {"data": "digits"}, status="diverged")
    write_run(root / "elsewhere", 0.99, data_fingerprint="beef")
    (root / "broken").mkdir()
    (root / "broken" / "result.json").write_text("{")
    return root


@pytest.fixture(scope="session")
def checked(checked_root: Path) -> Summary:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", figures.FIGURES[:1])
        return summarize(Options(root=checked_root, output=checked_root / "summary", top=ALL))


@pytest.fixture(scope="session")
def raw_runs(checked_root: Path) -> dict[str, dict[str, Any]]:
    return raw.read_runs(checked_root)


@pytest.fixture(scope="session")
def raw_ranked(raw_runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The runs judged by the images that most were judged by."""
    sweep = raw_runs["s/runs/0"]
    return {
        name: run
        for name, run in raw_runs.items()
        if raw.split_of(run) == raw.split_of(sweep) and run["result"]["data_fingerprint"] == "f00d"
    }


@pytest.fixture(scope="session")
def raw_groups(raw_ranked: dict[str, dict[str, Any]]) -> list[dict[int, list[str]]]:
    """The configurations, the best first; each seed's runs."""
    found = list(raw.configurations(raw_ranked).values())
    return sorted(
        found, key=lambda seeds: -np.mean(raw.seed_means(raw_ranked, seeds, "val_accuracy"))
    )


@pytest.fixture(scope="session")
def raw_trials(checked_root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (checked_root / "s/trials.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def raw_chosen(raw_ranked: dict[str, Any], raw_trials: list[dict[str, Any]]) -> Chosen:
    """The completed configurations of the sweep, each with its first trial."""
    by_dir = {f"s/{trial['run_dir']}": trial for trial in raw_trials if trial["run_dir"]}
    sweep = {name: run for name, run in raw_ranked.items() if name in by_dir}
    groups = list(raw.configurations(sweep).values())
    firsts = [
        min((by_dir[n] for names in seeds.values() for n in names), key=lambda t: t["number"])
        for seeds in groups
    ]
    means = [float(np.mean(raw.seed_means(sweep, seeds, "val_accuracy"))) for seeds in groups]
    pairs = sorted(zip(firsts, means, strict=True), key=lambda pair: pair[0]["number"])
    return Chosen([first["params"] for first, _ in pairs], [mean for _, mean in pairs])


@pytest.fixture(scope="session")
def report_data(checked_root: Path, checked: Summary) -> dict[str, Any]:
    text = (checked_root / "summary/report.html").read_text()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert found is not None
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def noise_of(ranked: dict[str, Any], groups: list[dict[int, list[str]]]) -> tuple[float, int]:
    """Return the noise pooled over the configurations no worse than the median one."""
    values = [raw.seed_means(ranked, seeds, "val_accuracy") for seeds in groups]
    median = np.median([np.mean(each) for each in values])
    good = [each for each in values if len(each) > 1 and np.mean(each) >= median]
    return raw.pooled(good or values)


def duration(seconds: float) -> str:
    unit = [(86400, "days"), (3600, "h"), (60, "min")]
    for size, name in unit:
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {name}"
    return f"{seconds:.1f} s"
