"""What the page's pictures and commands are made from, against raw files and composed options."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_runs import write_run
from raw_importance import Chosen, partial_effects

from resnet_sweep import compose_config
from resnet_sweep.analysis import figures
from resnet_sweep.analysis.archive import flatten
from resnet_sweep.analysis.report.data import GROUPS, _defaults
from resnet_sweep.analysis.report.pictures import _in_order
from resnet_sweep.analysis.summary import command
from resnet_sweep.config.compose import conf_dir, to_dict


def by_effect(chosen: Chosen) -> dict[str, float]:
    effects = partial_effects(chosen.columns(), chosen.means)
    ordered = sorted(effects, key=lambda name: -effects[name][0])
    return {name: effects[name][0] for name in ordered}


def test_the_axes_stand_in_the_order_of_their_effect(
    report_data: dict[str, Any], raw_chosen: Chosen
) -> None:
    settings = dict.fromkeys(name.split("@")[0].split("[")[0] for name in by_effect(raw_chosen))
    axes = {each["name"]: each for each in report_data["pictures"]["axes"]}
    assert list(axes)[: len(settings)] == list(settings)
    assert list(axes)[-2:] == ["num_params", "val_accuracy"]
    assert axes["optimizer.lr"]["log"] and not axes["regularization.dropout"]["log"]
    assert axes["optimizer"]["levels"] == ["adamw", "sgd"]
    blocks = axes["model.blocks"]["levels"]
    assert blocks == [f"[{i}, 3, 4, 3]" for i in range(1, 6)]


def test_the_bars_of_importance(report_data: dict[str, Any], raw_chosen: Chosen) -> None:
    bars = report_data["pictures"]["importance"]["bars"]
    effects = by_effect(raw_chosen)
    assert {bar["name"] for bar in bars} == set(effects)
    for bar in bars:
        np.testing.assert_allclose(bar["effect"], effects[bar["name"]], rtol=1e-4)
        above = bar["effect"] > max(bar["chance"], bar["noise"] or 0)
        assert not bar["matters"] or (above and bar["p"] < 0.05)


def test_levels_are_ordered_by_their_numbers() -> None:
    levels = ["[10, 2]", "[2, 10]", "b", "a", "[2, 3]", "true"]
    assert sorted(levels, key=_in_order) == ["[2, 3]", "[2, 10]", "[10, 2]", "a", "b", "true"]


OPTIONS = [
    (group, path.stem)
    for group in GROUPS
    for path in sorted((conf_dir() / group).glob("*.yaml"))
    if (group, path.stem) != ("model", "custom") and path.stem != "none"
]
WITH = {"arrays": ["data.root=x"], "image_folder": ["data.root=x"]}
LEFT_OPEN = ("data.root",)


@pytest.mark.slow
@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_an_option_gives_what_composing_it_gives(group: str, name: str) -> None:
    choice = f"[{name}]" if group == "augmentation" else name
    composed = flatten(to_dict(compose_config(f"{group}={choice}", *WITH.get(name, []))))
    found = _defaults({group: [name]})["options"][group][name]
    wanted = {k: v for k, v in composed.items() if k.startswith(f"{group}.")}
    for field in LEFT_OPEN:
        found.pop(field, None)
        wanted.pop(field, None)
    assert found == wanted


def test_the_base_is_what_composes_without_overrides() -> None:
    composed = flatten(to_dict(compose_config()))
    base = _defaults({})["base"]
    assert base == {name: composed[name] for name in base}
    assert set(GROUPS) <= set(base) and {"seed", "evaluate_test"} <= set(base)


def test_watching_writes_it_anew_until_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "FIGURES", ())
    write_run(tmp_path / "runs" / "first")
    turns = itertools.count()
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if next(turns) == 2:
            raise KeyboardInterrupt
        if len(waited) == 1:
            write_run(tmp_path / "runs" / "second", 0.9)

    monkeypatch.setattr(command.time, "sleep", sleep)
    with pytest.raises(SystemExit) as end:
        command.main([str(tmp_path / "runs"), "--watch", "30"])
    assert end.value.code == 130 and waited == [30, 30, 30]
    lines = [line for line in capsys.readouterr().out.splitlines() if "had changed;" in line]
    assert len(lines) == 1 and "1 runs had changed; 2 completed" in lines[0]
    report = (tmp_path / "runs" / "summary" / "report.html").read_text()
    assert '"watch":30.0' in report and "second" in report


def test_watching_waits_for_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(figures, "FIGURES", ())
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            write_run(tmp_path / "first")
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", sleep)
    with pytest.raises(SystemExit) as end:
        command.main([str(tmp_path), "--watch", "5"])
    assert end.value.code == 130 and waited == [5, 5, 5]
    assert capsys.readouterr().out.count("waiting for the first") == 1
    assert (tmp_path / "summary" / "report.html").exists()
