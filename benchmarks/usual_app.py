"""The program that a user of the packaged sweeper would otherwise have: the usual loop, as a Hydra
app with this project's configuration.

It trains on random images of CIFAR-10's size, reads and evaluates nothing, and its objective is
constant: all that is in its favour. benchmarks/gpu_sweep.py runs it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import hydra
from contenders import random_images, usual_loop
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from resnet_sweep.config.compose import register_schemas, to_config

SECONDS = "train_seconds.json"


@hydra.main(config_path=None, config_name="config")
def main(node: DictConfig) -> float:
    with open_dict(node):
        workers, num_images = node.pop("workers"), node.pop("num_images")
    config = to_config(node)
    run = usual_loop(config, random_images(num_images), workers)
    start = time.perf_counter()
    run(config.train.epochs * (num_images // config.train.batch_size))
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / SECONDS).write_text(json.dumps(time.perf_counter() - start))
    return 0.0


if __name__ == "__main__":
    register_schemas()
    main()
