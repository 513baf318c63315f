"""Every number that is wanted of a GPU, beside what was measured; the beginning of RESULTS.md.

    python benchmarks/wanted.py benchmarks/results           prints the table
    python benchmarks/wanted.py benchmarks/results --write   puts it between its marks in RESULTS.md

Reads gpu.json, workers.json, sweep.json, equivalence.json and airbench.json of that folder, as the
benchmarks write them on a GPU; what is missing, or was measured on a CPU, is "not measured".
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- wanted: begin -->", "<!-- wanted: end -->"
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Wanted:
    """A line of the table.

    Args:
        file: stem of the JSON.
        figures: names in its `derived` begin so; the best one counts, or the `worst`.
        target, stretch: at least, or at most where `lower`; None: any.
    """

    what: str
    file: str
    figures: str
    target: float | None = None
    stretch: float | None = None
    lower: bool = False
    worst: bool = False


LINES = (
    Wanted(
        "seconds per epoch, wrn_2343, best mode",
        "gpu",
        "seconds per epoch, wrn_2343, best",
        0.25,
        0.15,
        lower=True,
    ),
    Wanted(
        "seconds per epoch, wrn_2343_s1122, best mode",
        "gpu",
        "seconds per epoch, wrn_2343_s1122, best",
        0.80,
        0.50,
        lower=True,
    ),
    *(
        Wanted(figure, "gpu", figure, 8, 15)
        for size in (128, 512, 1024)
        for figure in [f"times the usual loop, wrn_2343, batch {size}"]
    ),
    Wanted(
        "bare step / full step, wrn_2343, the least of all modes and batches",
        "gpu",
        "bare / full step, wrn_2343,",
        0.90,
        0.97,
        worst=True,
    ),
    Wanted(
        "the heaviest augmentation's share of the step",
        "gpu",
        "share of the heaviest augmentation, wrn_2343,",
        0.15,
        lower=True,
        worst=True,
    ),
    Wanted("modes that train the same net, of ingredients and modes", "gpu", "modes that agree"),
    Wanted(
        "several workers against one, batch 128, without MPS",
        "workers",
        "best against one worker, batch 128, without",
        2,
        4,
    ),
    Wanted(
        "several workers against one, batch 128, with MPS",
        "workers",
        "best against one worker, batch 128, with MPS",
        2,
        4,
    ),
    Wanted(
        "several workers against one, batch 512, without MPS",
        "workers",
        "best against one worker, batch 512, without",
    ),
    Wanted(
        "several workers against one, batch 512, with MPS",
        "workers",
        "best against one worker, batch 512, with MPS",
    ),
    Wanted(
        "trials per hour against the packaged sweeper, joblib, usual loop",
        "sweep",
        "trials per hour against: packaged, joblib, usual loop",
        10,
        20,
    ),
    Wanted(
        "trials per hour against the packaged sweeper, joblib, this training",
        "sweep",
        "trials per hour against: packaged, joblib, this training",
    ),
    Wanted(
        "seconds from the end of a trial to the next one's first step, at most",
        "sweep",
        "seconds between two trials",
        2,
        lower=True,
    ),
    Wanted("fastest mode against fp32 eager, margin 0.2 points", "equivalence", "verdict"),
    Wanted("multiply-adds a second against airbench94", "airbench", "ours against airbench94"),
    Wanted("multiply-adds a second against airbench95", "airbench", "ours against airbench95"),
)


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the files' contents by stem, those of a GPU in full form alone."""
    found = {}
    for stem in {line.file for line in LINES}:
        path = folder / f"{stem}.json"
        content = json.loads(path.read_text()) if path.exists() else {}
        is_full = content.get("form") == "full" and content["machine"]["device"] != "cpu"
        if is_full and content.get("derived"):
            found[stem] = content
    return found


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of the Markdown table."""
    lines = ["| what | wanted | stretch | measured | on |", "|---|---|---|---|---|"]
    for wanted in LINES:
        content = results.get(wanted.file, {})
        value = _value(wanted, content.get("derived", {}))
        where = "" if value is None else _where(content["machine"])
        cells = [wanted.what, _target(wanted, wanted.target), _target(wanted, wanted.stretch)]
        lines.append(f"| {' | '.join([*cells, _verdict(wanted, value), where])} |")
    return lines


def _value(wanted: Wanted, derived: dict[str, Any]) -> Any:
    values = [value for name, value in derived.items() if name.startswith(wanted.figures)]
    numbers = [value for value in values if isinstance(value, (int, float))]
    if not numbers:
        return values[0] if values else None
    return min(numbers) if wanted.lower != wanted.worst else max(numbers)


def _target(wanted: Wanted, number: float | None) -> str:
    if number is None:
        return ""
    return f"{'at most' if wanted.lower else 'at least'} {number:g}"


def _verdict(wanted: Wanted, value: Any) -> str:
    if value is None:
        return NOT_MEASURED
    if not isinstance(value, (int, float)):
        return str(value)
    if wanted.target is None:
        return f"{value:.3g}"
    met = value <= wanted.target if wanted.lower else value >= wanted.target
    return f"{value:.3g} ({'met' if met else 'not met'})"


def _where(machine: dict[str, Any]) -> str:
    versions = machine["versions"]
    return f"{machine['date']}, {machine['device']}, torch {versions['torch']}"


def write(text: str, lines: list[str]) -> str:
    """Return the document with the table between its marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    options = parser.parse_args()
    lines = table(read_results(options.folder))
    print("\n".join(lines))
    if options.write:
        RESULTS.write_text(write(RESULTS.read_text(), lines))


if __name__ == "__main__":
    main()
