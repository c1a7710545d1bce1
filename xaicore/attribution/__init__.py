"""Explanation methods: one file per family, one contract for all (``explainer.Explainer``)."""

from xaicore.attribution.ablationcam import AblationCAM
from xaicore.attribution.attention import TIBAV, AttentionRollout, RawAttention
from xaicore.attribution.cam import (
    CAM,
    FakeCAM,
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
    "cam": CAM,
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "xgrad-cam": XGradCAM,
    "layer-cam": LayerCAM,
    "hires-cam": HiResCAM,
    "score-cam": ScoreCAM,
    "ablation-cam": AblationCAM,
    "opti-cam": OptiCAM,
    "fake-cam": FakeCAM,
    "rise": RISE,
    "occlusion": Occlusion,
    "extremal-perturbation": ExtremalPerturbation,
    "saliency": Saliency,
    "input-x-gradient": InputXGradient,
    "integrated-gradients": IntegratedGradients,
    "smoothgrad": SmoothGrad,
    "guided-backprop": GuidedBackprop,
    "gradient-shap": GradientShap,
    "raw-attention": RawAttention,
    "rollout": AttentionRollout,
    "tibav": TIBAV,
}
"""The methods by the name the command line and the tables know them by."""
