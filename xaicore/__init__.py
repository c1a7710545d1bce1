"""xaicore: interpreting image classifiers, the package of an executable thesis.

>>> import xaicore as xc
>>> model = xc.flower_classifier("species", seed=0)
>>> flowers = xc.Flowers("species", split="test", n=2)
>>> maps = xc.OptiCAM(model, iterations=2)(flowers.images, flowers.targets)
>>> p, o = xc.confidence(model, flowers.images, maps, flowers.targets)
>>> tuple(maps.shape), tuple(xc.average_gain(p, o).shape)
((2, 1, 64, 64), (2,))
"""

from xaicore import plotting as plot
from xaicore.attribution import CAM, METHODS, Explainer, FakeCAM, GradCAM, OptiCAM
from xaicore.classifier import Classifier
from xaicore.data.flowers import Flowers
from xaicore.evaluation import evaluate, paired_difference, summarize
from xaicore.masking import normalize, upsample
from xaicore.metrics import average_drop, average_gain, average_increase, confidence
from xaicore.models.flowers import flower_classifier

__version__ = "0.1.0"

__all__ = [
    "CAM",
    "METHODS",
    "Classifier",
    "Explainer",
    "FakeCAM",
    "Flowers",
    "GradCAM",
    "OptiCAM",
    "average_drop",
    "average_gain",
    "average_increase",
    "confidence",
    "evaluate",
    "flower_classifier",
    "normalize",
    "paired_difference",
    "plot",
    "summarize",
    "upsample",
]
