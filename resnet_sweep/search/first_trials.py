"""Known experiments as the first trials of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError, did_you_mean
from resnet_sweep.records.run_folder import CONFIG, read_config
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.locate import Location, OutsideSpace, locate
from resnet_sweep.search.space import SearchSpace
from resnet_sweep.search.space_parsing import to_text
from resnet_sweep.workers.status import Say, say_some

# Tried where nothing is named; what lies outside the space is left out.
DEFAULT_SOURCES = ("source",)
# An experiment is trained anew, with the sweep's own values of these.
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
    return Composer(composer.files, []).config({"experiment": source}, None)


def _notes(source: str, location: Location) -> list[str]:
    return [
        f"{source}: {path} is {to_text(theirs)} there and {to_text(ours)} in this sweep"
        for path, theirs, ours in location.differences
        if not path.startswith(_OF_THE_SWEEP)
    ]


def find_starts(
    space: SearchSpace, composer: Composer, sources: list[str] | None, say: Say
) -> list[Start]:
    """Return the known experiments that a sweep begins with.

    Raises:
        UserError: one that was named is unknown or lies outside the space.
    """
    if sources is not None:
        return start_from(space, composer, sources)
    starts = []
    for source in DEFAULT_SOURCES:
        try:
            starts += start_from(space, composer, [source])
        except OutsideSpace as error:
            say(f"not a first trial: {error}")
    return starts


def enqueue_starts(study: optuna.Study, starts: list[Start], say: Say) -> None:
    for start in starts:
        study.enqueue_trial(start.params)
        say(f"a first trial: {start.source}")
        say_some(start.notes, say)
