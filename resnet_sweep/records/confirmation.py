"""The files of a confirmation: plan.json before the first run, confirmation.json after the last.

Free of Optuna and torch.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Optional

from resnet_sweep.config.compose import from_dict
from resnet_sweep.records.checking import check_record
from resnet_sweep.records.run_folder import RecordError, read_json
from resnet_sweep.records.sweep_folder import RUNS
from resnet_sweep.system.atomic import write_text

SCHEMA_VERSION = 1
PLAN = "plan.json"
STEM = "confirmation"
FINDINGS = f"{STEM}.json"
TEST = "test"
STAGES = ("choose", "over_promise", TEST)
_SEEDS = (0, 2**32 - 1)
_LIMITS = {
    "choose_seeds": _SEEDS,
    "over_promise_seeds": _SEEDS,
    "test_seeds": _SEEDS,
    "baseline_seeds": _SEEDS,
    "split_seed": _SEEDS,
    "shared_val": (0.0, 1.0),
}


@dataclass(frozen=True)
class Candidate:
    """One of the best configurations of a sweep.

    Args:
        trial: its first one, which names it.
        trials: all that trained it to the end, with other seeds.
        val_accuracies: of these, as the sweep saw them.
        config: as config.json holds it, with the first trial's seed.
    """

    trial: int
    trials: list[int]
    val_accuracies: list[float]
    num_params: int
    multiply_adds: int
    train_seconds: float
    config: dict[str, Any]

    @property
    def label(self) -> str:
        return f"trial {self.trial}"

    @property
    def promised(self) -> float:
        """The validation accuracy that it had in the sweep: the mean over its seeds.

        The sweep may have ranked by something else; see Plan.ranking.
        """
        return sum(self.val_accuracies) / len(self.val_accuracies)


@dataclass(frozen=True)
class Plan:
    """What a confirmation trains, decided once.

    Args:
        questions: the options that decide what is trained.
        candidates: best first, by the sweep's validation objective.
        split_seed: of the fresh split.
        shared_val: share of the fresh split's validation images that the sweep's had as well.
        choose_seeds, over_promise_seeds: one list for each candidate that is trained there.
        test_seeds, baseline_seeds: of the test stage.
        baseline: the experiment's configuration on these data; null: none.
        data_fingerprint: of the data set, as the sweep saw it.
        num_val, num_test: images.
        notes: what a reader has to know about the selection.
        ranking: the sweep's validation objective, which ordered the candidates; empty: of an
            older version, which did not write it down.
    """

    questions: dict[str, Any]
    study_name: str
    num_trained: int
    candidates: list[Candidate]
    split_seed: int
    shared_val: float
    choose_seeds: list[list[int]]
    over_promise_seeds: list[list[int]]
    test_seeds: list[int]
    baseline_seeds: list[int]
    baseline: Optional[dict[str, Any]]
    data_fingerprint: str
    num_val: int
    num_test: int
    notes: list[str]
    ranking: str = ""
    schema_version: int = field(default=SCHEMA_VERSION)


def write_plan(folder: Path, plan: Plan) -> None:
    write_text(folder / PLAN, json.dumps(asdict(plan), indent=2) + "\n")


def read_plan(folder: Path) -> Plan:
    """Return the plan of a confirmation.

    Raises:
        RecordError: it is missing, damaged or of another version.
    """
    path = folder / PLAN
    values = read_json(path, SCHEMA_VERSION)
    try:
        values["candidates"] = [Candidate(**each) for each in values["candidates"]]
        # What came to be later has its default in an older plan.
        known = [f for f in fields(Plan) if f.name in values or f.default is MISSING]
        plan = Plan(**{f.name: values[f.name] for f in known})
        _check_plan(plan)
        return plan
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise RecordError(f"{path}: is damaged: {problem}") from error


def _check_plan(plan: Plan) -> None:
    """Refuse what would fail only once runs have been trained.

    Raises:
        TypeError, ConfigError: it says which value.
    """
    check_record(plan, _LIMITS)
    if not plan.candidates:
        raise TypeError("candidates is empty")
    for candidate in plan.candidates:
        check_record(candidate, {"val_accuracies": (0.0, 1.0)})
        if not candidate.val_accuracies:
            raise TypeError(f"{candidate.label}: val_accuracies is empty")
        from_dict(candidate.config)
    if plan.baseline is not None:
        from_dict(plan.baseline)
    if not len(plan.over_promise_seeds) <= len(plan.choose_seeds) == len(plan.candidates):
        raise TypeError("choose_seeds must be a list for each of the candidates")
    lists = {"choose_seeds": plan.choose_seeds, "over_promise_seeds": plan.over_promise_seeds}
    lists |= {"test_seeds": [plan.test_seeds]}
    if plan.baseline is not None:
        lists["baseline_seeds"] = [plan.baseline_seeds]
    for name, seeds in lists.items():
        if not seeds or not all(seeds):
            raise TypeError(f"{name} has no seed")


def is_test_of_chosen(run_dir: Path) -> bool:
    """Return whether a confirmation tests here what it has chosen; False without a sound plan.

    The runs of the test stage are numbered, the baseline's last.
    """
    run = run_dir.absolute()
    if run.parts[-3:-1] != (TEST, RUNS) or not run.name.isdecimal():
        return False
    try:
        return int(run.name) < len(read_plan(run.parents[2]).test_seeds)
    except RecordError:
        return False


def confirmation_values(findings: dict[str, Any]) -> dict[str, Any]:
    """Return what confirmation.json holds."""
    return {"schema_version": SCHEMA_VERSION, **findings}
