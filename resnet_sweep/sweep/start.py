"""Known experiments and old trials in a search space."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from resnet_sweep.config import Config
from resnet_sweep.errors import UserError
from resnet_sweep.records.run_folder import CONFIG, read_config
from resnet_sweep.sweep.composer import Composer
from resnet_sweep.sweep.ledger import REPEAT_OF
from resnet_sweep.sweep.locate import Location, OutsideSpace, locate
from resnet_sweep.sweep.space import SearchSpace
from resnet_sweep.sweep.space_parsing import did_you_mean, to_text

# The sweep has its own; an experiment is trained anew, with these.
_OF_THE_SWEEP = ("data.", "train.epochs", "seed")


@dataclass(frozen=True)
class Start:
    """A known experiment as a first trial.

    Args:
        params: for `study.enqueue_trial`.
        notes: what the sweep fixes otherwise than the experiment, a line each.
    """

    source: str
    params: dict[str, Any]
    notes: list[str]


def start_from(space: SearchSpace, composer: Composer, sources: Iterable[str]) -> list[Start]:
    """Return known experiments as trials of this space.

    Args:
        sources: names of conf/experiment, or run folders.

    Raises:
        UserError: there is no such experiment.
        OutsideSpace: one of its values lies outside the space.
    """
    starts = []
    for source in sources:
        try:
            location = locate(space, composer, _read_source(composer, source))
        except OutsideSpace as error:
            raise OutsideSpace(f"hydra.sweeper.start_from={source}: {error}") from error
        starts.append(Start(source, location.params, _notes(source, location)))
    return starts


def _read_source(composer: Composer, source: str) -> Config:
    if (Path(source) / CONFIG).is_file():
        return read_config(Path(source))
    known = composer.groups.get("experiment", [])
    if source not in known:
        hint = did_you_mean(source, known)
        raise UserError(f"hydra.sweeper.start_from={source}: no experiment or run folder; {hint}")
    return Composer(composer.conf_dir, []).config({"experiment": source}, None)


def _notes(source: str, location: Location) -> list[str]:
    return [
        f"{source}: {path} is {to_text(theirs)} there and {to_text(ours)} in this sweep"
        for path, theirs, ours in location.differences
        if not path.startswith(_OF_THE_SWEEP)
    ]


def extend_from(
    space: SearchSpace, composer: Composer, trials: Iterable[tuple[FrozenTrial, Config]]
) -> tuple[list[FrozenTrial], list[str]]:
    """Map finished trials of an old study into a changed space.

    Args:
        trials: each with the configuration that it was trained with.

    Returns:
        trials for `study.add_trial`, and for each other one a line that says why it cannot be
        one: a value outside the space, or a setting that the new sweep fixes otherwise.
    """
    mapped, left_out = [], []
    for trial, config in trials:
        try:
            location = locate(space, composer, config)
        except OutsideSpace as error:
            left_out.append(f"trial {trial.number}: {error}")
            continue
        if location.differences:
            path, theirs, ours = location.differences[0]
            change = f"{path} was {to_text(theirs)} and is {to_text(ours)} now"
            left_out.append(f"trial {trial.number}: {change}")
        else:
            mapped.append(_moved(space, trial, location.params))
    return mapped, left_out


def _moved(space: SearchSpace, trial: FrozenTrial, params: dict[str, Any]) -> FrozenTrial:
    distributions = {p.name: p.distribution for p in space.parameters if p.name in params}
    # It repeats a trial of the old study, whose number means another one here.
    kept = {name: value for name, value in trial.user_attrs.items() if name != REPEAT_OF}
    return optuna.trial.create_trial(
        state=trial.state,
        values=trial.values,
        params=params,
        distributions=distributions,
        user_attrs=kept,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
