"""Drawings that chapters share: one function a file, tensors in, a piece of a page out.

They are HTML, laid out for the width they get: wide in the column of a page, narrow on a phone.
Ink is the page's, so that they are read by day and by night, and every number is computed.
"""

from xaibook.drawings.anatomy import anatomy
from xaibook.drawings.strip import masking_strip

__all__ = ["anatomy", "masking_strip"]
