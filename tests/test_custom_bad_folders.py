"""Folders that are no set, or hold something that is wrong: one line names the place."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from bad_sets import IMAGES, LABELS, check_refused, png_bomb, save_png
from PIL import Image


def test_labels_of_another_length_beside_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x_data.npy", IMAGES)
    np.save(tmp_path / "x_labels.npy", LABELS[:5])
    check_refused(
        tmp_path, "must have one label for each image; has 5 for 6", tmp_path / "x_labels.npy"
    )


def test_several_sets_in_a_folder_are_listed(tmp_path: Path) -> None:
    for version in ("v4", "v6"):
        np.save(tmp_path / f"cifar10.1_{version}_data.npy", IMAGES)
        np.save(tmp_path / f"cifar10.1_{version}_labels.npy", LABELS)
    check_refused(tmp_path, f"name one: input={tmp_path / 'cifar10.1_v4_data.npy'}")


def test_corruptions_of_unequal_length(tmp_path: Path) -> None:
    np.save(tmp_path / "fog.npy", IMAGES)
    np.save(tmp_path / "snow.npy", IMAGES[:5])
    np.save(tmp_path / "labels.npy", LABELS)
    check_refused(tmp_path, "holds 5 images, fog.npy 6; must be equal", tmp_path / "snow.npy")
    os.remove(tmp_path / "labels.npy")
    check_refused(tmp_path, "several arrays (fog.npy, snow.npy) and no labels.npy")


def test_folders_that_are_no_set(tmp_path: Path) -> None:
    check_refused(tmp_path / "nowhere", "cannot be read (No such file or directory)")
    check_refused(tmp_path, "it is empty")
    (tmp_path / "notes.txt").write_text("x")
    check_refused(tmp_path, "it holds notes.txt; name one file")
    os.mkfifo(tmp_path / "pipe")
    check_refused(tmp_path / "pipe", "must be a file or a folder")


def test_a_class_that_the_net_does_not_know(tmp_path: Path) -> None:
    save_png(tmp_path / "cat" / "0.png")
    save_png(tmp_path / "dgo" / "0.png")
    check_refused(tmp_path, "the net has no class 'dgo'; did you mean dog?", tmp_path / "dgo")


def test_the_folder_above_is_told_apart(tmp_path: Path) -> None:
    save_png(tmp_path / "test" / "cat" / "0.png")
    check_refused(tmp_path, f"is input={tmp_path / 'test'} meant?")


def test_images_in_and_beside_folders(tmp_path: Path) -> None:
    save_png(tmp_path / "cat" / "0.png")
    save_png(tmp_path / "1.png")
    check_refused(tmp_path, "images beside folders of images (cat)")
    os.remove(tmp_path / "1.png")
    np.save(tmp_path / "x.npy", IMAGES)
    check_refused(tmp_path, "images and arrays (x.npy)")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("damaged", b"nothing", "damaged, not an image, or unreadable"),
        ("cut", None, "damaged, not an image, or unreadable"),
        ("bomb", png_bomb(20_000), "decompression bomb"),
    ],
)
def test_a_bad_image_is_named_with_its_position(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    for index in range(4):
        save_png(tmp_path / "cat" / f"{index}.png")
    bad = tmp_path / "cat" / "2.png"
    if content is None:
        Image.fromarray(IMAGES[0]).resize((64, 64)).save(bad)
    bad.write_bytes(bad.read_bytes()[:-30] if content is None else content)
    check_refused(tmp_path, message, bad)
    check_refused(tmp_path, "image 3 of 4", bad)


def test_an_image_of_16_bits_is_refused(tmp_path: Path) -> None:
    save_png(tmp_path / "0.png", "I;16")
    check_refused(tmp_path, "must have 8 bits per channel", tmp_path / "0.png")
