"""Seconds to read a folder of images for the first time and from the cache.

    python benchmarks/load_images.py data/cifar10-jpeg

Each reading is a process of its own; the cache lies in a temporary folder. Figures: RESULTS.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile

READ = """
import sys, time
import torch
from resnet_sweep.config.data import (ImageFolderConfig)
from resnet_sweep.data.registry import load_dataset
start = time.perf_counter()
data = load_dataset(ImageFolderConfig(root=sys.argv[1], cache_dir=sys.argv[2]))
images = len(data.train_labels) + len(data.test_labels)
print(f"{images} images in {time.perf_counter() - start:.2f} s")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder with train/<class>/ and test/<class>/")
    parser.add_argument("--repeats", type=int, default=3, help="readings from the cache")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        for i in range(options.repeats + 1):
            print("first:" if i == 0 else "cached:", end=" ", flush=True)
            subprocess.run([sys.executable, "-c", READ, options.root, cache], check=True)


if __name__ == "__main__":
    main()
