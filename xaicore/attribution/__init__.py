"""Explanation methods: one file per family, one contract for all (``explainer.Explainer``)."""

from xaicore.attribution.cam import CAM, FakeCAM, GradCAM
from xaicore.attribution.explainer import Explainer
from xaicore.attribution.opticam import OptiCAM

METHODS: dict[str, type[Explainer]] = {
    "cam": CAM,
    "grad-cam": GradCAM,
    "opti-cam": OptiCAM,
    "fake-cam": FakeCAM,
}
"""The methods by the name the command line and the tables know them by."""

__all__ = ["CAM", "METHODS", "Explainer", "FakeCAM", "GradCAM", "OptiCAM"]
