"""Image sets that somebody brings, recognised by what they contain."""

from resnet_sweep.data.custom.custom_set import CustomSet, Group, ImageSource
from resnet_sweep.data.custom.recognize import read_custom

__all__ = ["CustomSet", "Group", "ImageSource", "read_custom"]
