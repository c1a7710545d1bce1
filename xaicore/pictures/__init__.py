"""Pictures on disk: one file read robustly; a folder with classes, boxes and masks."""

from xaicore.pictures.file import load_image
from xaicore.pictures.folder import Pictures, pictures

__all__ = ["Pictures", "load_image", "pictures"]
