"""Explanation methods: one file per family, one contract for all (``explainer.Explainer``)."""

from xaicore.attribution.ablationcam import AblationCAM
from xaicore.attribution.attention import TIBAV, AttentionRollout, RawAttention
from xaicore.attribution.cam import (
    CAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
)
from xaicore.attribution.cam import (
    explain_all as explain_all,
)
from xaicore.attribution.explainer import Explainer
from xaicore.attribution.extremal import ExtremalPerturbation
from xaicore.attribution.floors import Centre, Colour, Edges, FakeCAM, Noise
from xaicore.attribution.gradient import (
    GradientShap,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    Saliency,
    SmoothGrad,
)
from xaicore.attribution.opticam import OptiCAM
from xaicore.attribution.perturbation import RISE, Occlusion
from xaicore.attribution.scorecam import ScoreCAM

METHODS: dict[str, type[Explainer]] = {
    method.name: method
    for method in (
        CAM,
        GradCAM,
        GradCAMPlusPlus,
        XGradCAM,
        LayerCAM,
        HiResCAM,
        AblationCAM,
        ScoreCAM,
        OptiCAM,
        ExtremalPerturbation,
        RISE,
        Occlusion,
        Saliency,
        InputXGradient,
        IntegratedGradients,
        SmoothGrad,
        GuidedBackprop,
        GradientShap,
        RawAttention,
        AttentionRollout,
        TIBAV,
        FakeCAM,
        Noise,
        Centre,
        Edges,
        Colour,
    )
}
"""The methods by name, in the order of tables."""
