"""Lines about networks within which no gradient flows."""

from __future__ import annotations

from tests.xaicore.inputs.subjects import Cut, images, shape
from tests.xaicore.inputs.table import row
from xaicore.classifier import Classifier

GRAPH = "cut graph"


@row(GRAPH)
def _() -> str:
    """`torch.no_grad()` inside the network, Grad-CAM

    Before: refused, untruly: `the logits do not depend on layer 'net.1'; choose a layer below it`

    Now: ValueError: no gradient reaches layer 'net.1', though the logits change with …: Cut cuts
    the gradient inside (…): take that out of its forward, or use a method that needs none: …
    """
    return shape(Classifier(Cut("no_grad").eval(), layer="net.1"), images())


@row(GRAPH)
def _() -> str:
    """`.detach()` inside the network, Grad-CAM

    Before: refused, untruly: `the logits do not depend on layer 'net.1'; choose a layer below it`

    Now: ValueError: no gradient reaches layer 'net.1', though the logits change with …: Cut cuts
    the gradient inside (…): take that out of its forward, or use a method that needs none: …
    """
    return shape(Classifier(Cut("detach").eval(), layer="net.1"), images())


@row(GRAPH)
def _() -> str:
    """NumPy inside the network, saliency

    Before: error: `element 0 of tensors does not require grad`

    Now: ValueError: no gradient reaches the pixels, though the logits change with …: Cut cuts
    the gradient inside (…): take that out of its forward, or use a method that needs none: …
    """
    return shape(Classifier(Cut("numpy").eval(), layer="net.1"), images(), method="Saliency")


@row(GRAPH)
def _() -> str:
    """`torch.no_grad()` inside the network, Score-CAM

    Before: refused, untruly: `the logits do not depend on layer 'net.1'; choose a layer below it`

    Now: maps of shape (2, 1, 12, 16)
    """
    return shape(Classifier(Cut("no_grad").eval(), layer="net.1"), images(), method="ScoreCAM")


@row(GRAPH)
def _() -> str:
    """`torch.no_grad()` inside the network, occlusion

    Before: the same

    Now: maps of shape (2, 1, 12, 16)
    """
    return shape(Classifier(Cut("no_grad").eval()), images(), method="Occlusion")
