"""What follows from the rows of benchmarks/gpu.py."""

from __future__ import annotations

from typing import Any

Rows = dict[str, dict[str, Any]]


def derive(rows: Rows) -> dict[str, Any]:
    """Return the figures by name; what lacks a row is left out."""
    found = {name: row for name, row in rows.items() if "error" not in row}
    figures: dict[str, Any] = {}
    for net, batch_size in sorted({_place(row) for row in found.values() if "net" in row}):
        figures.update(_of_place(found, net, batch_size))
    for net in sorted({row["net"] for row in found.values() if "net" in row}):
        figures.update(_of_net(found, net))
    agreed = [row["agrees"] for name, row in found.items() if name.startswith("agreement/")]
    if agreed:
        figures["modes that agree"] = f"{sum(agreed)} of {len(agreed)}"
    return figures


def _place(row: dict[str, Any]) -> tuple[str, int]:
    return row["net"], row["batch_size"]


def _seconds(rows: Rows, what: str, net: str, batch_size: int) -> dict[str, float]:
    """Return seconds per epoch by mode."""
    start = f"{what}/{net}/{batch_size}/"
    return {r["mode"]: r["seconds_per_epoch"] for n, r in rows.items() if n.startswith(start)}


def _of_place(rows: Rows, net: str, batch_size: int) -> dict[str, Any]:
    """Return the ratios within one net and batch size."""
    where = f"{net}, batch {batch_size}"
    figures: dict[str, Any] = {}
    full, bare, usual = (
        _seconds(rows, what, net, batch_size) for what in ("full step", "bare step", "usual loop")
    )
    for mode in full.keys() & bare.keys():
        figures[f"bare / full step, {where}, {mode}"] = bare[mode] / full[mode]
    if full and usual:
        figures[f"times the usual loop, {where}"] = usual["none"] / min(full.values())
    plain, heavy = (_seconds(rows, w, net, batch_size) for w in ("no augmentation", "heaviest"))
    for mode in plain.keys() & heavy.keys():
        share = 1 - plain[mode] / heavy[mode]
        figures[f"share of the heaviest augmentation, {where}, {mode}"] = share
    figures.update(_break_even(rows, net, batch_size))
    return figures


def _break_even(rows: Rows, net: str, batch_size: int) -> dict[str, float | None]:
    """Return the epochs after which Inductor's compilation has paid, None if it never does."""
    graph, inductor = (
        rows.get(f"full step/{net}/{batch_size}/{mode}") for mode in ("graph", "inductor")
    )
    if graph is None or inductor is None:
        return {}
    saved = graph["seconds_per_epoch"] - inductor["seconds_per_epoch"]
    longer = inductor["seconds_to_first_step"] - graph["seconds_to_first_step"]
    epochs = longer / saved if saved > 0 else None
    return {f"epochs until inductor pays, {net}, batch {batch_size}": epochs}


def _of_net(rows: Rows, net: str) -> dict[str, Any]:
    start = f"full step/{net}/"
    times = {name: row["seconds_per_epoch"] for name, row in rows.items() if name.startswith(start)}
    if not times:
        return {}
    best = min(times, key=lambda name: times[name])
    return {f"seconds per epoch, {net}, best": times[best], f"best of {net}": best[len(start) :]}
