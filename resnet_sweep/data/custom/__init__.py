"""Image sets that somebody brings, recognised by what they contain."""

from resnet_sweep.data.custom.custom_set import ArraySource, CustomSet, Group, ImageSource
from resnet_sweep.data.custom.recognize import choose_background, read_custom

__all__ = ["ArraySource", "CustomSet", "Group", "ImageSource", "choose_background", "read_custom"]
