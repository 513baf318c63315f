"""Schema of the `tracker` group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from resnet_sweep.config.errors import require, require_one_of

WANDB_MODES = ("online", "offline")


@dataclass
class TensorBoardConfig:
    """Event files in the run folder."""


@dataclass
class MlflowConfig:
    """A run on an MLflow server.

    Args:
        uri: address of the server; null: that of MLFLOW_TRACKING_URI.
        experiment: that the run belongs to; made where there is none.
        artifacts: send figures, result.json and model.pt as well.
    """

    uri: Optional[str] = None
    experiment: str = "resnet_sweep"
    artifacts: bool = False

    def __post_init__(self) -> None:
        allowed = "must be the address of a server, such as http://localhost:5000"
        is_address = self.uri is None or self.uri.startswith(("http://", "https://"))
        require(is_address, "tracker.mlflow.uri", self.uri, allowed)
        is_open = self.uri is None or "@" not in self.uri
        allowed = "is stored with the run: give the password by MLFLOW_TRACKING_PASSWORD"
        require(is_open, "tracker.mlflow.uri", "(with a password)", allowed)
        allowed = "must be a name"
        require(self.experiment.strip() != "", "tracker.mlflow.experiment", "''", allowed)


@dataclass
class WandbConfig:
    """A run of Weights & Biases.

    Args:
        project: that the run belongs to.
        entity: user or team; null: that of the API key.
        mode: `online`, or `offline`: files for `wandb sync`.
        artifacts: send figures, result.json and model.pt as well.
    """

    project: str = "resnet_sweep"
    entity: Optional[str] = None
    mode: str = "online"
    artifacts: bool = False

    def __post_init__(self) -> None:
        require_one_of("tracker.wandb.mode", self.mode, WANDB_MODES)
        require(self.project.strip() != "", "tracker.wandb.project", "''", "must be a name")


@dataclass
class TrackerConfig:
    """Where metrics are shown besides metrics.csv; null: not used. See docs/trackers.md.

    Args:
        tensorboard: event files in the run folder.
        mlflow: `uri` of the server (null: MLFLOW_TRACKING_URI), `experiment`, `artifacts`
            (figures, result.json and model.pt).
        wandb: `project`, `entity`, `mode` (online, offline), `artifacts`.
    """

    tensorboard: Optional[TensorBoardConfig] = None
    mlflow: Optional[MlflowConfig] = None
    wandb: Optional[WandbConfig] = None
