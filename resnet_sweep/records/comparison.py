"""A comparison's folder: plan.json before its runs, comparison.json after them.

FOLDER/
  plan.json        what is compared; of factors the survivors, once they are chosen
  study/           the runs, by number; survivors/ those of the survivors
  comparison.json  what was found, with every run; .md, .csv and the figures say the same
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional, TypeVar

from resnet_sweep.config.errors import one_line
from resnet_sweep.records.checking import check_record
from resnet_sweep.records.run_folder import RecordError, read_json
from resnet_sweep.records.sweep_folder import EndedRun
from resnet_sweep.system.atomic import write_json

PLAN, COMPARISON = "plan.json", "comparison.json"
STUDY, SURVIVORS = "study", "survivors"
SCHEMA_VERSION = 1
Record = TypeVar("Record")
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class ComparisonPlan:
    """What a comparison trains.

    Args:
        design: recipes, steps or factors.
        split: val or test.
        recipes: names of all configurations but the survivors'.
        given: overrides of the command line, of every run.
        survivors: of the factors; null: not chosen yet.
        chosen_by: seeds of each configuration when they were chosen.
    """

    design: str
    split: str
    name: str
    recipes: list[str]
    given: list[str]
    num_seeds: int
    survivor_seeds: int
    survivors: Optional[list[str]] = None
    chosen_by: Optional[int] = None


@dataclass(frozen=True)
class Row:
    """A recipe, or an effect, and what it gains. Fractions; NaN: unknown.

    Args:
        n: seeds that completed; of an effect all runs.
        mean, sd, low, high: of the accuracy, with its 95% interval.
        gain: this minus what it is compared with, over the seeds that both have.
        gain_low, gain_high, p_value: of this row alone.
        all_low, all_high, all_p_value: that hold for all rows of its part together.
        over_start: gain over the first recipe.
        in_design: effect by which a survivor was chosen.
        train_seconds: median over the runs.
        data: which images, and how many a run was trained on at most.
    """

    name: str
    n: int
    verdict: str
    num_failed: int = 0
    mean: float = math.nan
    sd: float = math.nan
    low: float = math.nan
    high: float = math.nan
    gain: float = math.nan
    gain_low: float = math.nan
    gain_high: float = math.nan
    p_value: float = math.nan
    all_low: float = math.nan
    all_high: float = math.nan
    all_p_value: float = math.nan
    over_start: float = math.nan
    in_design: float = math.nan
    num_params: Optional[int] = None
    epochs: Optional[int] = None
    train_seconds: float = math.nan
    device: str = ""
    data: str = ""


@dataclass(frozen=True)
class Part:
    """A table of a comparison.

    Args:
        kind: recipes, steps, effects, interactions or survivors.
        notes: sentences below the table.
    """

    kind: str
    title: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Args:
        command: that made it, and goes on with it.
        left_out: changes that change nothing beside the command line.
        levels: of each factor in each configuration, -1 or 1; of no factors empty.
        runs: of study/, and of survivors/.
    """

    command: str
    title: str
    plan: ComparisonPlan
    left_out: list[str]
    levels: list[list[int]]
    parts: list[Part]
    runs: list[EndedRun]
    survivor_runs: list[EndedRun]

    def part(self, kind: str) -> Part | None:
        return next((part for part in self.parts if part.kind == kind), None)


def read_plan(folder: Path) -> ComparisonPlan | None:
    """Return the plan of a comparison; None: the folder has none.

    Raises:
        RecordError: it is damaged, or cannot be read.
    """
    path = folder / PLAN
    if not path.exists():
        return None
    values = _read(path)
    if "questions" in values:
        raise RecordError(f"{path}: is a confirmation's: take another folder")
    with _telling_damage(path):
        return _built(ComparisonPlan, values)


def write_plan(folder: Path, plan: ComparisonPlan) -> None:
    write_json(folder / PLAN, {"schema_version": SCHEMA_VERSION, **asdict(plan)})


def read_comparison(folder: Path) -> Compared:
    """Return what a comparison found.

    Raises:
        RecordError: it has not ended, is damaged, or cannot be read.
    """
    path = folder / COMPARISON
    values = _read(path)
    with _telling_damage(path):
        parts = [
            {**part, "rows": [_built(Row, row) for row in part["rows"]]} for part in values["parts"]
        ]
        found = {
            **{key: values[key] for key in ("command", "title", "left_out", "levels")},
            "plan": _built(ComparisonPlan, values["plan"]),
            "parts": [_built(Part, part) for part in parts],
            "runs": [_built(EndedRun, run) for run in values["runs"]],
            "survivor_runs": [_built(EndedRun, run) for run in values["survivor_runs"]],
        }
        return _built(Compared, found)


def comparison_values(compared: Compared) -> dict[str, Any]:
    """Return what comparison.json holds."""
    return {"schema_version": SCHEMA_VERSION, **asdict(compared)}


@contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        problem = f"is damaged: {reason}: take another folder"
        raise RecordError(f"{path}: {problem}") from error


def _read(path: Path) -> dict[str, Any]:
    values = read_json(path, SCHEMA_VERSION)
    del values["schema_version"]
    return values


def _built(kind: type[Record], values: dict[str, Any]) -> Record:
    """Return a dataclass of a file's values; null is what was not a number."""
    floats = {name for name, type_ in kind.__annotations__.items() if type_ == "float"}
    built = kind(**{k: math.nan if v is None and k in floats else v for k, v in values.items()})
    check_record(built, {})
    return built
