"""What makes two runs one configuration: the only place that knows which fields decide.

Every field of every schema is declared in FIELDS, once. Whoever compares configurations asks
here: duplicates in a sweep, resume, extend_from, confirmation, the leaderboard, the pooling of
seeds. Works on plain values, as config.json holds them, since thousands are compared at once.
Free of torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from functools import cache, lru_cache
from typing import Any, get_args, get_type_hints

from resnet_sweep.config import Config
from resnet_sweep.config.augmentation import AugmentationConfig
from resnet_sweep.config.compose import SCHEMAS, schema_of, to_dict
from resnet_sweep.config.data import NUM_SCANS, DigitsConfig
from resnet_sweep.config.errors import RETIRED, UserError
from resnet_sweep.config.model import CustomModelConfig, ResNetConfig
from resnet_sweep.config.optimizer import LR_POWERS
from resnet_sweep.config.regularization import SAM_RHO
from resnet_sweep.config.scheduler import ONE_CYCLE_WARMUP
from resnet_sweep.records.run_folder import teacher_digest

Values = dict[str, Any]
TEACHER = "regularization.distill_from"  # which net it is counts, not where it lies
TEACHER_DIGEST = f"{TEACHER}_digest"

OUTCOME = "decides the outcome"
PLACE = "where and how a run is carried out"
SHOWN = "what is shown"

# Of each group the fields of all its options, by what they do.
FIELDS: dict[str, dict[str, str]] = {
    "": {OUTCOME: "seed", PLACE: "resume", SHOWN: "evaluate_test tracker"},
    "model": {
        OUTCOME: "widths base_width width_factor first_width additive_widths stem_width "
        "stem_kernel_size whitened_stem blocks kernel_size shortcut_kernel_size strides "
        "downsampling pool_size block shortcut squeeze_excitation squeeze_ratio activation "
        "target kwargs",
        PLACE: "max_params max_multiply_adds",
        SHOWN: "name",
    },
    "init": {OUTCOME: "name std zero_init_residual"},
    "optimizer": {
        OUTCOME: "name lr lr_scaling exclude_norm_and_bias lookahead_steps lookahead_alpha "
        "momentum nesterov betas eps alpha ns_steps others others_lr",
        PLACE: "implementation",
    },
    "scheduler": {
        OUTCOME: "name warmup_epochs final_fraction cycles cycle_factor div_factor "
        "final_div_factor milestones gamma step_epochs factor patience threshold min_fraction",
    },
    "augmentation": {
        OUTCOME: "crop_flip autoaugment randaugment trivialaugment color_jitter cutout "
        "random_erasing mixup cutmix ricap",
    },
    "augmentation.crop_flip": {OUTCOME: "padding flip_probability alternate_flip"},
    "augmentation.autoaugment": {OUTCOME: "policy"},
    "augmentation.randaugment": {OUTCOME: "num_ops magnitude"},
    "augmentation.trivialaugment": {},
    "augmentation.color_jitter": {OUTCOME: "brightness contrast saturation hue"},
    "augmentation.cutout": {OUTCOME: "size"},
    "augmentation.random_erasing": {OUTCOME: "probability min_area max_area min_aspect"},
    "augmentation.mixup": {OUTCOME: "alpha"},
    "augmentation.cutmix": {OUTCOME: "alpha probability"},
    "augmentation.ricap": {OUTCOME: "beta"},
    "regularization": {
        OUTCOME: "weight_decay label_smoothing dropout stochastic_depth clip_grad_norm "
        "ema_half_life_epochs swa_start sam sam_rho ghost_batch_size distill_from "
        "distill_from_digest distill_weight distill_temperature",
        SHOWN: "name",
    },
    "data": {
        OUTCOME: "name val_size split_seed train_subset test_size image_size background "
        "num_classes",
        PLACE: "root download cache_dir",
    },
    "train": {
        OUTCOME: "epochs batch_size start_image_size full_size_from precision",
        PLACE: "device compile channels_last deterministic checkpoint_interval_seconds num_threads",
        SHOWN: "name progress figures",
    },
    "tracker": {SHOWN: "tensorboard mlflow wandb"},
    "tracker.mlflow": {SHOWN: "uri experiment artifacts"},
    "tracker.wandb": {SHOWN: "project entity mode artifacts"},
}
# Of OUTCOME: which images are read. The fingerprint of the data, where known, stands for them.
DATA_SOURCE = (
    "data.name",
    "data.test_size",
    "data.image_size",
    "data.background",
    "data.num_classes",
)
# Of OUTCOME: which of the training images judge a run. Runs with others are ranked apart.
SPLIT = ("data.val_size", "data.split_seed")
# Of PLACE: what refuses a proposal. They decide what a search trains, and change no run.
LIMITS = ("model.max_params", "model.max_multiply_adds")
ROLES = {
    f"{group}.{name}" if group else name: role
    for group, roles in FIELDS.items()
    for role, names in roles.items()
    for name in names.split()
}
_UNTRAINABLE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, UserError)
_VERSION = "2"  # of what is digested; the version before had no such mark
_NAMED = tuple(group for group in SCHEMAS if group != "model")
_SPELLED_AS_WIDTHS = ("model.base_width", "model.width_factor", "model.first_width")
_NUM_CIFAR_IMAGES = 50_000


@cache
def role_of(field: str) -> str:
    """Return what a field does, by its dotted path; a group stands for its name.

    What nobody declared decides the outcome.
    """
    if field in RETIRED:
        return SHOWN
    path = f"{field}.name" if field in SCHEMAS else field
    while path:
        if path in ROLES:
            return ROLES[path]
        path = path.rpartition(".")[0]
    return OUTCOME


def may_differ(field: str) -> bool:
    """Return whether a run may go on with another value of a field: it decides no outcome.

    A name is no option of the command line: what it stands for may differ.
    """
    is_name = field in SCHEMAS or field.rpartition(".")[2] == "name"
    return role_of(field) != OUTCOME and not is_name


def tells_apart(field: str) -> bool:
    """Return whether a field can make two runs different configurations."""
    # A teacher is shown by its folder alone.
    return role_of(field) == OUTCOME and field not in ("seed", TEACHER_DIGEST)


def free_fields() -> list[str]:
    """Return the fields with which a run may go on otherwise; see may_differ."""
    return [field for field in ROLES if may_differ(field) and field != "resume"]


def outcome(config: Config | Values, fingerprint: str | None = None) -> Values:
    """Return whatever decides how a run ends, by dotted path, in one spelling.

    A field that is not there has its default, one that the chosen options do not use is left
    out, and equal nets, learning rates, schedules and splits are spelled alike.

    Args:
        config: or its plain values, as config.json holds them.
        fingerprint: of the data; null: not known, and the fields of `data` stand for it.
    """
    values = _completed(_values(config))
    for spell in _SPELLINGS:
        with suppress(*_UNTRAINABLE):  # a damaged record stays as it is spelled
            spell(values)
    flat = {path: _plain(v) for path, v in _flat(values).items() if role_of(path) == OUTCOME}
    if fingerprint is not None:
        _drop(flat, *DATA_SOURCE)
        flat["data"] = fingerprint
    return flat


def without_effect(config: Config, given: Iterable[str]) -> list[str]:
    """Return those of the given fields and groups that do not count in a configuration.

    With their defaults the run would be the same. A field that has its default is none of them:
    it may switch off what would use it.
    """
    values, found = to_dict(config), outcome(config)
    idle = []
    for field in given:
        path = f"{field}.name" if field in SCHEMAS else field
        group, _, name = path.rpartition(".")
        if path == "data.root" and isinstance(config.data, DigitsConfig) and config.data.root:
            idle.append(field)  # a place, which what follows leaves out
        is_spelled = path in found or path in _SPELLED_AS_WIDTHS
        if is_spelled or ROLES.get(path) != OUTCOME or group not in SCHEMAS:
            continue
        schema = _schema_of(group, values[group])
        assert schema is not None  # as a checked configuration has them
        default = _defaults(schema).get(name, ...)
        other = {**values, group: {**values[group], name: default}}
        is_default = field == path and values[group][name] == default
        if not is_default and outcome(other) == found:
            idle.append(field)
    return idle


def signature(config: Config | Values) -> str:
    """Return a digest of all that decides how a run ends, its seed and split included.

    A field that has its schema's default is not digested: one that comes to be later changes
    no digest.
    """
    return f"{_VERSION}-{_digest(outcome(config), 16)}"


def is_current(text: str) -> bool:
    """Return whether this version gives such signatures; else it has to be computed again."""
    return text.startswith(f"{_VERSION}-")


def configuration(config: Config | Values, fingerprint: str | None = None) -> Values:
    """Return what the seeds and splits of one configuration have in common; see outcome."""
    found = outcome(config, fingerprint)
    _drop(found, "seed", *SPLIT)
    return found


def split_of(config: Values) -> tuple[Any, Any]:
    """Return val_size and split_seed of plain values; a share as a count where that is known."""
    node = config.get("data")
    if not isinstance(node, dict):
        return None, None
    schema = _schema_of("data", node)
    data = {**({} if schema is None else _defaults(schema)), **node}
    with suppress(*_UNTRAINABLE):
        _spell_split({"data": data})
    return data.get("val_size"), data.get("split_seed")


def configuration_id(
    config: Config | Values, num_bytes: int, fingerprint: str | None = None
) -> str:
    """Return hex digits that two runs share when only seed or split tells them apart."""
    return _digest(configuration(config, fingerprint), num_bytes)


def changes(
    before: Config | Values, after: Config | Values, limits: bool = False
) -> list[tuple[str, Any, Any]]:
    """Return (field, before, after) for all that makes two configurations end otherwise.

    Args:
        limits: what refuses a proposal as well.
    """
    one, other = (_flat(_completed(_values(each))) for each in (before, after))
    first, second = outcome(before), outcome(after)
    paths = [path for path in {**first, **second} if first.get(path) != second.get(path)]
    choices = [path for path in paths if path == "augmentation" or path.endswith(".name")]
    groups = tuple(f"{choice.removesuffix('.name')}." for choice in choices)
    in_both = first.keys() & second.keys()  # another option has other fields, which goes unsaid
    paths = [p for p in paths if p in choices or p in in_both or not p.startswith(groups)]
    spelled = [path for path in paths if one.get(path) != other.get(path)]
    if limits:
        spelled += [path for path in LIMITS if one.get(path) != other.get(path)]
    found = [(path, one.get(path), other.get(path)) for path in spelled]
    # A field may stay as it is and mean another value, as widths do beside another base_width.
    return found + [(p, first.get(p), second.get(p)) for p in paths if p not in spelled]


def differences(stored: Any, given: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (field, stored, given) for whatever differs between two nested mappings."""
    if isinstance(stored, dict) and isinstance(given, dict):
        keys = [*stored, *(key for key in given if key not in stored)]
        prefix = f"{path}." if path else ""
        parts = (differences(stored.get(k), given.get(k), f"{prefix}{k}") for k in keys)
        return [difference for part in parts for difference in part]
    return [] if stored == given else [(path, stored, given)]


def known_teacher(config: Values) -> str | None:
    """Return the digest of the net that a configuration learns from: as recorded, or as it is.

    None: it has no teacher, or that is gone and was never recorded.
    """
    recorded = _regularization(config).get("distill_from_digest")
    return recorded or teacher_digest(teacher_of(config))


def teacher_of(config: Values) -> str | None:
    """Return the folder of the teacher, which an older or damaged record may lack."""
    place = _regularization(config).get("distill_from")
    return place if isinstance(place, str) else None


def with_teacher_at(config: Values, places: Sequence[str]) -> Values | None:
    """Return plain values with their teacher at the first of some folders that holds its net.

    None: none of them does.
    """
    node, known = _regularization(config), known_teacher(config)
    for place in sorted(places, key=lambda place: place != teacher_of(config)):
        if known is not None and teacher_digest(place) == known:
            return {**config, "regularization": {**node, "distill_from": place}}
    return None


def _regularization(config: Values) -> Values:
    node = config.get("regularization")
    return node if isinstance(node, dict) else {}


def _values(config: Config | Values) -> Values:
    return to_dict(config) if isinstance(config, Config) else config


def _digest(values: Values, num_bytes: int) -> str:
    nets = ResNetConfig if "model.blocks" in values else CustomModelConfig
    named = (_schema(group, values.get(f"{group}.name")) for group in _NAMED)
    defaults = _all_defaults(nets, *named)
    spelled = {p: v for p, v in values.items() if p.endswith("name") or v != defaults.get(p, ...)}
    text = json.dumps(spelled, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=num_bytes).hexdigest()


def _schema_of(group: str, node: Values) -> type | None:
    if group == "model" and "blocks" in node:
        return ResNetConfig  # whatever its name
    return _schema(group, node.get("name"))


def _schema(group: str, name: Any) -> type | None:
    return _named_schema(group, name if isinstance(name, str) else "")


@cache
def _named_schema(group: str, name: str) -> type | None:
    try:
        return schema_of(group, name)
    except UserError:
        return None


@cache
def _defaults(schema: type) -> Values:
    """Return the default of each field of a schema that has one and is no group."""
    found = {}
    for field in fields(schema):
        if field.default is not MISSING:
            found[field.name] = field.default
        elif field.default_factory is not MISSING:
            found[field.name] = field.default_factory()
    return {k: v for k, v in found.items() if not hasattr(v, "__dataclass_fields__")}


@cache
def _ingredients() -> dict[str, Values]:
    """Return the defaults of each augmentation by its name."""
    hints = get_type_hints(AugmentationConfig)
    return {name: _defaults(get_args(hint)[0]) for name, hint in hints.items()}


@cache
def _all_defaults(*schemas: type | None) -> Values:
    named = zip(("model", *_NAMED), schemas, strict=True)
    groups = [(group, {} if schema is None else _defaults(schema)) for group, schema in named]
    groups += [(f"augmentation.{name}", values) for name, values in _ingredients().items()]
    return {f"{group}.{name}": _plain(v) for group, each in groups for name, v in each.items()}


def _completed(config: Values) -> Values:
    """Return a copy with the defaults of what is not there, and `augmentation` with its names."""
    values = {**_defaults(Config), **config}
    values.pop("schema_version", None)
    for group in SCHEMAS:
        node = values.get(group, {})
        if isinstance(node, dict):
            schema = _schema_of(group, node)
            values[group] = {**({} if schema is None else _defaults(schema)), **node}
    node = values.get("augmentation", {})
    if isinstance(node, dict):
        known = _ingredients()
        used = {n: {**known.get(n, {}), **v} for n, v in node.items() if isinstance(v, dict)}
        values["augmentation"] = used
    return values


def _flat(values: Values, path: str = "", found: Values | None = None) -> Values:
    """Return each value by its dotted path, of any depth."""
    found = {} if found is None else found  # one for all depths: this is most of a digest's time
    for name, value in values.items():
        if isinstance(value, dict):
            if name == "augmentation" and not path:
                found[name] = "+".join(value) or "none"
            _flat(value, f"{path}{name}.", found)
        else:
            found[f"{path}{name}"] = value
    return found


def _plain(value: Any) -> Any:
    """Round what went through 1 - x or a scaling, so that equal values are equal."""
    if isinstance(value, float):
        return _rounded(value)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


@lru_cache(1024)  # most values are those of every other run
def _rounded(value: float) -> float | int:
    rounded = float(f"{value:.10g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded


def _drop(node: Values, *names: str) -> None:
    for name in names:
        node.pop(name, None)


def _spell_net(values: Values) -> None:
    """Write widths, kernels and strides as lists, and drop what is not used."""
    model = values["model"]
    if _schema_of("model", model) is not ResNetConfig:
        values.pop("init")  # it keeps the weights that its constructor gave it
        _drop(values["regularization"], "dropout", "stochastic_depth")
        return
    net = ResNetConfig(**{name: model[name] for name in _defaults(ResNetConfig)})
    widths, strides = net.stage_widths(), net.stage_strides()
    befores = [net.stem_width or widths[0], *widths]
    changing = [
        stride > 1 or width != before
        for stride, width, before in zip(strides, widths, befores, strict=False)
    ]
    kernels = zip(net.stage_shortcut_kernel_sizes(), changing, strict=True)
    _drop(model, *(path.removeprefix("model.") for path in _SPELLED_AS_WIDTHS))
    model |= {"widths": widths, "strides": strides}
    if net.stem_width == widths[0]:
        model["stem_width"] = None
    model["kernel_size"] = net.stage_kernel_sizes()
    model["shortcut_kernel_size"] = [size if is_used else None for size, is_used in kernels]
    widening = zip(widths, befores, net.blocks, strict=False)
    if not any(width != before and count > 1 for width, before, count in widening):
        model["additive_widths"] = False
    if net.shortcut != "conv" or not any(changing):
        _drop(model, "shortcut_kernel_size")
    if net.shortcut != "none" and not any(changing):
        _drop(model, "shortcut")
    if max(strides) == 1:
        _drop(model, "downsampling")
    if not net.squeeze_excitation:
        _drop(model, "squeeze_ratio")
    side = _image_size(values)
    for stride in strides:
        side = None if side is None else -(-side // stride)
    if net.pool_size == side:  # the whole map
        model["pool_size"] = None


def _spell_optimizer(values: Values) -> None:
    """Write the learning rate as it is after its scaling, and drop what is not used."""
    optimizer = values["optimizer"]
    power = LR_POWERS[optimizer["lr_scaling"]]
    scale = (values["train"]["batch_size"] / 256) ** power
    optimizer["lr"] *= scale
    if "others_lr" in optimizer:  # follows lr
        optimizer["others_lr"] *= scale
    _drop(optimizer, "lr_scaling")
    if optimizer["lookahead_steps"] is None or optimizer["lookahead_alpha"] == 1:
        _drop(optimizer, "lookahead_steps", "lookahead_alpha")
    if optimizer.get("others") == "sgd":
        _drop(optimizer, "betas", "eps")
    if values["regularization"]["weight_decay"] == 0:
        _drop(optimizer, "exclude_norm_and_bias")


def _spell_scheduler(values: Values) -> None:
    scheduler = values["scheduler"]
    name = scheduler["name"]
    if name == "one_cycle" and scheduler["warmup_epochs"] is None:
        scheduler["warmup_epochs"] = ONE_CYCLE_WARMUP * values["train"]["epochs"]
    if name == "cosine_restarts" and scheduler["cycles"] == 1:
        scheduler["name"] = "cosine"
        _drop(scheduler, "cycles", "cycle_factor")
    stays = scheduler.get("gamma") == 1 or scheduler.get("final_fraction") == 1
    if stays or scheduler.get("milestones") == []:
        values["scheduler"] = {"name": "constant", "warmup_epochs": scheduler["warmup_epochs"]}


def _spell_init(values: Values) -> None:
    if values["init"]["name"] != "normal":
        _drop(values["init"], "std")


def _spell_augmentation(values: Values) -> None:
    """Drop what never changes an image."""
    used = values["augmentation"]
    idle: dict[str, Callable[[Values], bool]] = {
        "crop_flip": lambda each: not each["padding"] and not each["flip_probability"],
        "color_jitter": lambda each: not any(each.values()),
        "random_erasing": lambda each: not each["probability"],
        "cutmix": lambda each: not each["probability"] and not {"mixup", "ricap"} & used.keys(),
    }
    for name, is_idle in idle.items():
        if name in used and is_idle(used[name]):
            del used[name]
    # In the order in which they are carried out, whatever that of the record is.
    values["augmentation"] = {name: used.pop(name) for name in _ingredients() if name in used}
    values["augmentation"] |= used


def _spell_regularization(values: Values) -> None:
    node = values["regularization"]
    known = known_teacher(values)
    _drop(node, "distill_from_digest")  # stands in distill_from
    if node["sam"] is None:
        _drop(node, "sam", "sam_rho")
    elif node["sam_rho"] is None:
        node["sam_rho"] = SAM_RHO[node["sam"]]
    ghost = node["ghost_batch_size"]
    if ghost is not None and ghost >= values["train"]["batch_size"]:
        node["ghost_batch_size"] = None  # one slice is the whole batch
    if node["distill_from"] is None or node["distill_weight"] == 0:
        _drop(node, "distill_from", "distill_weight", "distill_temperature")
    else:
        node["distill_from"] = known or os.path.normpath(node["distill_from"])


def _spell_resizing(values: Values) -> None:
    train, full = values["train"], _image_size(values)
    start = train["start_image_size"]
    if start is None or train["full_size_from"] == 0 or (full is not None and start >= full):
        _drop(train, "start_image_size", "full_size_from")


def _spell_split(values: Values) -> None:
    """Write sizes as counts where the number of training images follows from the data set."""
    data = values["data"]
    is_known = data["name"] in ("cifar10", "cifar100", "digits")
    if is_known:
        total = NUM_SCANS - data["test_size"] if data["name"] == "digits" else _NUM_CIFAR_IMAGES
        if 0 < data["val_size"] < 1:
            data["val_size"] = max(1, round(data["val_size"] * total))
        if data["train_subset"] == total - data["val_size"]:
            data["train_subset"] = None
    if data["val_size"] == 0 and data["train_subset"] is None:
        _drop(data, "split_seed")


def _image_size(values: Values) -> int | None:
    """Return the side of the images, where it follows from the configuration alone."""
    if values["data"]["name"] == "arrays":
        return None
    size = values["data"].get("image_size", 32)
    return size if isinstance(size, int) else None


_SPELLINGS: tuple[Callable[[Values], None], ...] = (
    _spell_net,
    _spell_optimizer,
    _spell_scheduler,
    _spell_init,
    _spell_augmentation,
    _spell_regularization,
    _spell_resizing,
    _spell_split,
)
