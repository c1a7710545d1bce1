"""Metrics: pure functions, one value per image; ``measures`` is the table of what is made of them.

The public names are those of each file's ``__all__``.
"""

from xaicore.metrics.additivity import *
from xaicore.metrics.causal import *
from xaicore.metrics.faithfulness import *
from xaicore.metrics.imputation import *
from xaicore.metrics.localization import *
from xaicore.metrics.measures import *
from xaicore.metrics.randomization import *
from xaicore.metrics.robustness import *
from xaicore.metrics.segmentation import *
from xaicore.metrics.transfer import *
