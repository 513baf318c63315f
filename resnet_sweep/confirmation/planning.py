"""What a confirmation trains: which configurations, on which data and split, with which seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resnet_sweep.config import Config
from resnet_sweep.config.compose import from_dict
from resnet_sweep.config.confirm import ConfirmConfig
from resnet_sweep.config.data import DataConfig
from resnet_sweep.config.errors import ConfigError, UserError, did_you_mean, require
from resnet_sweep.confirmation.candidates import (
    select,
    used_numbers,
    validation_objective,
    whole_data,
)
from resnet_sweep.records.confirmation import Candidate, Plan
from resnet_sweep.records.identity import (
    FIELDS,
    PLACE,
    changes,
    configuration,
    teacher_of,
    with_teacher_at,
)
from resnet_sweep.records.run_folder import check_teacher, recorded_values
from resnet_sweep.records.sweep_folder import read_sweep
from resnet_sweep.search.composer import Composer
from resnet_sweep.search.proposals import DataShape, Rejection, propose_config
from resnet_sweep.search.settings import frozen_files, read_settings
from resnet_sweep.workers.planned import PlannedRun, quiet
from resnet_sweep.workers.trial import compressed

if TYPE_CHECKING:
    from resnet_sweep.data.dataset import Dataset
    from resnet_sweep.data.split import Split

# The baseline's are those of the sweep, so that both are trained in the same way.
EXECUTION = ("precision", *FIELDS["train"][PLACE].split())


def check_data(config: DataConfig, fingerprint: str) -> Dataset:
    """Read the data and compare them with what the sweep saw.

    Raises:
        UserError: they are missing or have changed.
    """
    from resnet_sweep.data.registry import load_dataset  # brings torch

    try:
        data = load_dataset(config)
    except UserError as error:
        raise UserError(f"{error}; data_root=FOLDER says where the data lie now") from error
    if data.fingerprint != fingerprint:
        allowed = f"the data have changed since the sweep: {data.fingerprint}, then {fingerprint}"
        where = "data" if config.root is None else "data.root"
        raise ConfigError(where, config.root or config.name, allowed)
    return data


def make_plan(folder: Path, options: ConfirmConfig) -> Plan:
    """Select and draw; nothing is written.

    Raises:
        UserError: this sweep cannot be confirmed so.
    """
    sweep = read_sweep(folder)
    selection = select(sweep, options.top_k, options.all_data)
    _refuse_drawn_data(folder, selection.candidates)
    first = moved(selection.candidates, options)
    configs = [from_dict(each.config) for each in first]
    config = configs[0].data
    data = check_data(config, selection.data_fingerprint)
    baseline = _baseline(folder, options, configs, data)
    trained, asked, notes = len(sweep.trained()), sweep.record.n_trials, selection.notes
    if trained < asked:
        notes = [*notes, f"the sweep is not complete: {trained} of {asked} trials are trained"]
    seeds, splits = used_numbers(folder)
    fresh = (number for number in count(1) if number not in seeds)
    split_seed = next(number for number in count(1) if number not in splits)
    val = _split(data, config).val_indices
    fresh_val = _split(data, replace(config, split_seed=split_seed)).val_indices

    def draw(how_many: int) -> list[int]:
        return list(islice(fresh, how_many))

    return Plan(
        questions=options.questions(),
        study_name=sweep.record.study_name,
        num_trained=trained,
        candidates=first,
        split_seed=split_seed,
        shared_val=len(np.intersect1d(fresh_val, val)) / len(fresh_val),
        choose_seeds=[draw(options.num_seeds) for _ in first],
        over_promise_seeds=[
            draw(options.num_over_promise_seeds) for _ in first[: options.over_promise_k]
        ],
        test_seeds=draw(options.num_test_seeds),
        baseline_seeds=[] if baseline is None else draw(options.num_test_seeds),
        baseline=None if baseline is None else recorded_values(baseline),
        data_fingerprint=selection.data_fingerprint,
        num_val=len(val),
        num_test=len(data.test_labels),
        notes=notes,
        ranking=selection.ranking,
    )


def _refuse_drawn_data(folder: Path, candidates: list[Candidate]) -> None:
    """Refuse trials that were not judged by the same images."""
    base = read_settings(folder).base
    for candidate in candidates:
        for path, _, _ in changes(base, candidate.config):
            if path.startswith("data.") and path != "data.train_subset":
                allowed = f"its trials differ in {path}: they cannot be compared"
                raise ConfigError("sweep", folder, allowed)


def _split(data: Dataset, config: DataConfig) -> Split:
    from resnet_sweep.data.split import split_train_val

    return split_train_val(data.train_labels.numpy(), config)


def _baseline(
    folder: Path, options: ConfirmConfig, configs: Sequence[Config], data: Dataset
) -> Config | None:
    """Return an experiment's recipe with the sweep's data, length and way of training.

    One that would fail at the end is refused before anything is trained.

    Args:
        configs: of which one is chosen.
    """
    name, like = options.baseline, configs[0]
    if name is None:
        return None
    composer = Composer(frozen_files(folder, read_settings(folder)), [])
    known = composer.groups.get("experiment", [])
    require(name in known, "baseline", name, did_you_mean(name, known))
    try:
        recipe = compressed(composer.config({"experiment": name}, None), like.train.epochs)
        execution = {field: getattr(like.train, field) for field in EXECUTION}
        train = replace(recipe.train, **execution)
        whole = whole_data(like.data, options.all_data)
        baseline = quiet(replace(recipe, train=train, data=whole, tracker=like.tracker))
    except UserError as error:
        raise ConfigError("baseline", name, f"{error}; baseline=null leaves it out") from error
    checked = propose_config(
        baseline, DataShape(len(data.class_names), data.train_images.shape[-1])
    )
    splits = [_split(data, whole_data(each.data, options.all_data)) for each in configs]
    images = min(len(split.train_indices) for split in splits)
    problem = checked.reason if isinstance(checked, Rejection) else None
    if problem is None and baseline.train.batch_size > images:
        problem = f"train.batch_size={baseline.train.batch_size} with {images} training images"
    allowed = f"cannot be trained on these data ({problem}); baseline=null leaves it out"
    require(problem is None, "baseline", name, allowed)
    return baseline


def with_data_at(values: dict[str, Any], root: str | None) -> dict[str, Any]:
    """Return plain values with their data where they lie now; null: where they lay.

    Raises:
        ConfigError: the data have no folder.
    """
    if root is None:
        return values
    node = values["data"]
    allowed = f"must be null: data={node['name']} has no folder"
    require(node.get("root") is not None, "data_root", root, allowed)
    return {**values, "data": {**node, "root": root}}


def moved(candidates: list[Candidate], options: ConfirmConfig) -> list[Candidate]:
    """Return candidates with their data and their teachers where they lie now.

    A teacher whose net is in none of the given folders stays where it was.

    Raises:
        UserError: the data have no folder, a given folder holds no candidate's teacher, or a
            teacher is gone or another one than in the sweep.
    """
    all_values = [with_data_at(each.config, options.data_root) for each in candidates]
    given = options.teachers()
    taught = [values for values in all_values if teacher_of(values) is not None]
    for place in given:
        allowed = "must be null: none of these configurations has a teacher"
        require(bool(taught), "distill_from", place, allowed)
        lay = ", ".join(sorted({str(teacher_of(values)) for values in taught}))
        allowed = f"must hold the net from which one of the sweep's trials learnt, once in {lay}"
        is_one = any(with_teacher_at(values, [place]) for values in taught)
        require(is_one, "distill_from", place, allowed)
    found = []
    for candidate, values in zip(candidates, all_values, strict=True):
        config = with_teacher_at(values, given) or values
        regularization = from_dict(config).regularization
        try:
            check_teacher(regularization)
        except UserError as error:
            raise UserError(f"{error}; distill_from=FOLDER says where it lies now") from error
        found.append(replace(candidate, config=config))
    return found


def ranked_plan(plan: Plan, folder: Path) -> Plan:
    """Return a plan that knows by what the sweep in a folder ranked, as older ones do not."""
    if plan.ranking:
        return plan
    return replace(plan, ranking=validation_objective(folder, read_settings(folder).objectives))


def moved_plan(plan: Plan, options: ConfirmConfig) -> Plan:
    """Return a plan with data and teacher where they lie now, which is none of its questions.

    Raises:
        UserError: they are not those of the plan.
    """
    candidates = moved(plan.candidates, options)
    baseline = plan.baseline  # a teacher of its own lies where the experiment names it
    if baseline is not None:
        baseline = with_data_at(baseline, options.data_root)
    return replace(plan, candidates=candidates, baseline=baseline)


def choose_runs(plan: Plan) -> list[PlannedRun]:
    """Return the trainings on the fresh split."""
    return _on_split(plan.candidates, plan.choose_seeds, plan.split_seed)


def over_promise_runs(plan: Plan) -> list[PlannedRun]:
    """Return the trainings on the sweep's own split."""
    return _on_split(plan.candidates, plan.over_promise_seeds, None)


def runs_on_test_set(plan: Plan, chosen: Candidate) -> list[PlannedRun]:
    """Return the trainings that read the test set: the chosen one's and the baseline's.

    Both have the chosen one's length and images, which a sweep may have drawn.
    """
    all_data = bool(plan.questions["all_data"])
    config = from_dict(chosen.config)
    config = quiet(replace(config, data=whole_data(config.data, all_data)))
    runs = [_tested(chosen.label, config, seed) for seed in plan.test_seeds]
    if plan.baseline is None:
        return runs
    baseline = replace(from_dict(plan.baseline), data=config.data)
    if baseline.train.epochs != config.train.epochs:
        baseline = compressed(baseline, config.train.epochs)
    if configuration(baseline) == configuration(config):
        return runs
    name = str(plan.questions["baseline"])
    return runs + [_tested(name, baseline, seed) for seed in plan.baseline_seeds]


def _on_split(
    candidates: list[Candidate], seeds: list[list[int]], split_seed: int | None
) -> list[PlannedRun]:
    """Return the runs of the first candidates, on another split where one is given."""
    runs = []
    for candidate, own in zip(candidates, seeds, strict=False):
        config = quiet(from_dict(candidate.config))
        if split_seed is not None:
            config = replace(config, data=replace(config.data, split_seed=split_seed))
        runs += [PlannedRun(candidate.label, replace(config, seed=seed)) for seed in own]
    return runs


def _tested(label: str, config: Config, seed: int) -> PlannedRun:
    return PlannedRun(label, replace(config, seed=seed, evaluate_test=True))
