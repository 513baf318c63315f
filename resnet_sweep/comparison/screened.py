"""A screening that has ended, read back from its folder, and which of its changes survive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from resnet_sweep.comparison.command import STUDY
from resnet_sweep.comparison.recipes import Factor, Screening
from resnet_sweep.config.errors import ConfigError, one_line, why
from resnet_sweep.config.workers import MOST_SEEDS
from resnet_sweep.records.checking import check_plain, check_record

FIELD = "screening"
REPORT = "screening.json"


@dataclass(frozen=True)
class Screened:
    """What a screening found.

    Args:
        screening: its recipes; `factors` are those that change something.
        given: overrides of its command line, which won over the file's.
        num_seeds: that each configuration had.
        effects: of each factor, as a fraction.
        error: standard error of an effect; null: unknown.
    """

    screening: Screening
    given: list[str]
    num_seeds: int
    effects: dict[str, float]
    error: Optional[float]

    @property
    def survivors(self) -> list[str]:
        """The changes that are worth more seeds: better by more than the standard error.

        One that does nothing passes in one of six cases (of normal noise); of real ones of two
        standard errors as many are lost, of three one in 44. Without a measure of the noise
        every change survives that was better at all.
        """
        return [name for name, effect in self.effects.items() if effect > (self.error or 0.0)]

    @property
    def dropped(self) -> list[str]:
        return [name for name in self.effects if name not in self.survivors]


def read_screened(folder: Path) -> Screened:
    """Return what a screening has found.

    Raises:
        ConfigError: the folder holds none, one that has not ended, or a damaged one.
    """
    path = folder / REPORT
    if not path.is_file():
        begun = (folder / STUDY).is_dir()
        reason = "has not ended yet: its own command goes on" if begun else f"has no {REPORT}"
        raise ConfigError(FIELD, folder, f"{reason}; it must be a folder of resnet_sweep.screen")
    try:
        return _screened(json.loads(path.read_bytes()))
    except OSError as error:
        raise ConfigError(FIELD, folder, f"{REPORT} cannot be read: {why(error)}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        allowed = f"{REPORT} is damaged ({one_line(error)}): its own command writes it anew"
        raise ConfigError(FIELD, folder, allowed) from error


def _screened(values: dict[str, Any]) -> Screened:
    recipes, effects = values["recipes"], values["main"]
    used = {effect["name"]: effect["difference"] for effect in effects}
    factors = [Factor(**each) for each in recipes["factors"] if each["name"] in used]
    screening = Screening(recipes["name"], recipes["runs"], recipes["common"], factors)
    found = Screened(screening, recipes["given"], recipes["num_seeds"], used, values["error"])
    _check(found, [effect["name"] for effect in effects])
    return found


def _check(screened: Screened, names: list[str]) -> None:
    """Refuse what no screening has written.

    Args:
        names: of the effects.

    Raises:
        TypeError: a value is not of its type, or not finite.
        ValueError: the effects are not those of the factors.
    """
    factors = screened.screening.factors
    for each in (*factors, screened.screening):
        check_record(each, {})
    check_record(screened, {"num_seeds": (1, MOST_SEEDS)})
    check_plain({"effects": screened.effects, "error": screened.error}, "")
    if sorted(names) != sorted(factor.name for factor in factors):
        raise ValueError("main: its effects are not those of the factors")
