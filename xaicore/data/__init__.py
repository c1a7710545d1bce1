"""Pictures: rendered flowers with part masks, and folders of images on disk."""

from xaicore.data.flowers import Flowers
from xaicore.data.folders import ImageTable, find_data, load_image

__all__ = ["Flowers", "ImageTable", "find_data", "load_image"]
