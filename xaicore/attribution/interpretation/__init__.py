"""Interpret a network by its relevant features, and explain by them: one file per step.

Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019.
"""

from xaicore.attribution.interpretation.ablation import ablation_curves
from xaicore.attribution.interpretation.averages import Visualisation, visualise
from xaicore.attribution.interpretation.backprojection import (
    BackwardRules,
    back_project,
    phase_spread,
)
from xaicore.attribution.interpretation.features import (
    RelevantFeatures,
    Stability,
    Unit,
    identify,
    largest_mu,
    mu_path,
    stability,
)
from xaicore.attribution.interpretation.fields import Field, receptive_fields
from xaicore.attribution.interpretation.lasso import NormalEquations, kkt_residual, mu_lasso
from xaicore.attribution.interpretation.responses import Layer, Responses, responses
from xaicore.attribution.interpretation.vebi import VEBI, Decoupled

__all__ = [
    "VEBI",
    "BackwardRules",
    "Decoupled",
    "Field",
    "Layer",
    "NormalEquations",
    "RelevantFeatures",
    "Responses",
    "Stability",
    "Unit",
    "Visualisation",
    "ablation_curves",
    "back_project",
    "identify",
    "kkt_residual",
    "largest_mu",
    "mu_lasso",
    "mu_path",
    "phase_spread",
    "receptive_fields",
    "responses",
    "stability",
    "visualise",
]
