"""The search spaces of conf/, as a sweep reads them."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resnet_sweep.config.compose import conf_dir, register_schemas


def shipped(name: str) -> dict[str, Any]:
    register_schemas()
    with initialize_config_dir(str(conf_dir().resolve())):
        node = compose("config", overrides=[f"search_space={name}"]).search_space
    content = OmegaConf.to_container(node)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
