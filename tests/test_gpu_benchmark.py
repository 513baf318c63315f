"""The benchmark of a GPU, in the small form that any machine runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from gpu_figures import derive
from measurements import MORE, Measurements
from roofline import Chip, Operation, count_operations, limits

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.config.model import ResNetConfig
from resnet_sweep.model.budget import check_budget

pytestmark = pytest.mark.engines  # a benchmark, whole

COMMAND = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--small"]


def test_the_small_form_measures_everything_and_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    command = [*COMMAND, "--output", str(output)]
    first = subprocess.run([*command, "--only", "steps"], capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    step = json.loads(output.read_text())["rows"]["full step/small/64/none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    rows = content["rows"]
    assert rows["full step/small/64/none"] == step  # not measured again
    kinds = {"full step", "bare step", "usual loop", "no augmentation", "heaviest", "profile"}
    assert {name.split("/")[0] for name in rows} == kinds
    _check_row(step, content["chip"])
    assert 0.5 < sum(rows["profile/none"]["top"].values()) <= 1
    ratio = rows["bare step/small/64/none"]["seconds_per_epoch"] / step["seconds_per_epoch"]
    assert content["derived"]["bare / full step, small, batch 64, none"] == pytest.approx(ratio)
    assert "share of the heaviest augmentation, small, batch 64, none" in content["derived"]


def _check_row(row: dict[str, Any], chip: dict[str, float]) -> None:
    seconds = row["seconds_per_epoch"]
    assert row["images_per_second"] == pytest.approx(50_000 / seconds)
    net = ResNetConfig(name="small", widths=[8, 16], blocks=[1, 1])
    operations = 6 * check_budget(Config(model=net), 10).multiply_adds * 50_000
    assert row["tflops"] == pytest.approx(operations / seconds / 1e12)
    assert 0 < row["arithmetic_share"] < row["roofline_share"]
    # The first products need no gradient of the images, so a little less than six.
    assert row["arithmetic_share"] == pytest.approx(operations / seconds / chip["flops"], rel=0.2)


@pytest.mark.parametrize(
    ("strides", "arithmetic", "unfused"),
    [([1, 2, 2, 2], 0.070, 0.187), ([1, 1, 2, 2], 0.267, 0.621)],
)
def test_the_roofline_is_the_one_worked_out_by_hand(
    strides: list[int], arithmetic: float, unfused: float
) -> None:
    """On 790 TFLOP/s and 4.3 TB/s, with batch norm and ReLU unfused; by hand layer by layer."""
    net = ResNetConfig(name="wrn_2343", strides=strides)
    operations = count_operations(Config(model=net), torch.bfloat16)
    least = limits(operations, Chip(790e12, 4.3e12), 50_000)
    assert least["arithmetic"] == pytest.approx(arithmetic, rel=0.01)
    assert least["eager_kernels"] == pytest.approx(unfused, rel=0.1)


def test_an_operation_takes_the_longer_of_arithmetic_and_traffic() -> None:
    operations = [Operation(flops=30, traffic=1), Operation(flops=0, traffic=8)]
    least = limits(operations, Chip(flops=10, bandwidth=2), images=2)
    assert least == {"eager_kernels": 2 * (3 + 4), "arithmetic": 6}


def test_a_product_of_matrices_is_counted_exactly() -> None:
    from roofline import BATCH_SIZE, _Counter

    a, b = torch.rand(3, 5), torch.rand(5, 7)
    with _Counter() as counter:
        a.mm(b).t()
    flops, numbers = 2 * 3 * 5 * 7, 3 * 5 + 5 * 7 + 3 * 7
    assert counter.operations == [Operation(flops / BATCH_SIZE, 4 * numbers / BATCH_SIZE)]


def test_what_follows_from_the_rows() -> None:
    def row(mode: str, seconds: float, first: float = 0.0) -> dict[str, Any]:
        place = {"net": "a", "batch_size": 128, "mode": mode}
        return {**place, "seconds_per_epoch": seconds, "seconds_to_first_step": first}

    rows = {
        "full step/a/128/none": row("none", 3.0),
        "full step/a/128/graph": row("graph", 1.0, first=1.0),
        "full step/a/128/inductor": row("inductor", 0.8, first=41.0),
        "bare step/a/128/graph": row("graph", 0.9),
        "usual loop/a/128/none": row("none", 4.0),
        "no augmentation/a/128/graph": row("graph", 0.9),
        "heaviest/a/128/graph": row("graph", 1.2),
        "bare step/a/128/none": {"error": "OutOfMemoryError"},
    }
    figures = derive(rows)
    assert figures["bare / full step, a, batch 128, graph"] == pytest.approx(0.9)
    assert figures["times the usual loop, a, batch 128"] == pytest.approx(5.0)
    assert figures["share of the heaviest augmentation, a, batch 128, graph"] == pytest.approx(0.25)
    assert figures["epochs until inductor pays, a, batch 128"] == pytest.approx(200)
    assert figures["best of a"] == "128/inductor"
    assert not any("none" in name for name in figures)
    rows["full step/a/128/inductor"] = row("inductor", 1.1, first=41.0)
    assert derive(rows)["epochs until inductor pays, a, batch 128"] is None


def test_time_that_is_over_and_failures_are_left_to_the_next_call(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError("no compiler")

    path = tmp_path / "figures.json"
    taken = Measurements(path, minutes=1, form="small")
    assert taken.take("one", lambda: {"value": 1}) is not None
    assert taken.take("broken", fail) is None
    assert taken.finish({}) == 1
    assert json.loads(path.read_text())["rows"]["broken"] == {"error": "RuntimeError: no compiler"}
    late = Measurements(path, minutes=0, form="small")
    assert late.take("one", fail) == taken.rows["one"]
    assert late.take("broken", lambda: {"value": 2}) is None
    assert late.finish({}) == MORE and late.left == ["broken"]
    again = Measurements(path, minutes=1, form="small")
    assert again.take("broken", lambda: {"value": 2}) is not None
    assert again.finish({}) == 0
    with pytest.raises(UserError, match="was measured as"):
        Measurements(path, minutes=1, form="full")
