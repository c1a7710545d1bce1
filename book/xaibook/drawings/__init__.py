"""Drawings that chapters share: one function a file, tensors in, a piece of a page out.

They are HTML, laid out for the width they get: wide in the column of a page, narrow on a phone.
Ink is the page's, so that they are read by day and by night, and every number is computed.
"""

from xaibook.drawings.anatomy import anatomy
from xaibook.drawings.classes import share, two_classes
from xaibook.drawings.contrast import contrast
from xaibook.drawings.film import film
from xaibook.drawings.ranks import ranks
from xaibook.drawings.relevant import relevant
from xaibook.drawings.strip import masking_strip
from xaibook.drawings.tiles import points, tiles
from xaibook.drawings.where import where_it_lies

__all__ = [
    "anatomy",
    "contrast",
    "film",
    "masking_strip",
    "points",
    "ranks",
    "relevant",
    "share",
    "tiles",
    "two_classes",
    "where_it_lies",
]
