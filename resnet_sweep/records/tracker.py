"""tracker.json: under which name trackers know a run, and what they have of it.

The id is written before a tracker hears of it, so that a kill leaves no run that nobody continues.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from resnet_sweep.records.run_folder import (
    SCHEMA_VERSION,
    RecordError,
    read_json,
)
from resnet_sweep.system.atomic import write_json

TRACKER = "tracker.json"


@dataclass
class TrackerRecord:
    """The content of tracker.json.

    Args:
        id: of the run, with every tracker.
        epochs: tracker -> the last epoch that it was given.
        ended: trackers that have the result.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    epochs: dict[str, int] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION


def read_tracker_record(run_dir: Path) -> TrackerRecord | None:
    """Return the record; None: there is none, or it is damaged, and the trackers begin anew."""
    try:
        values = read_json(run_dir / TRACKER)
        record = TrackerRecord(str(values["id"]), dict(values["epochs"]), list(values["ended"]))
    except (RecordError, KeyError, TypeError, ValueError):
        return None
    return record


def write_tracker_record(run_dir: Path, record: TrackerRecord) -> None:
    write_json(run_dir / TRACKER, asdict(record))
