"""Interpret a network by its relevant features, and explain by them: one file per step.

Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019.
"""

from xaicore.attribution.explainer import Explainer
from xaicore.interpretation.ablation import ablation_curves
from xaicore.interpretation.averages import Visualisation, visualise
from xaicore.interpretation.backprojection import (
    BackwardRules,
    back_project,
    phase_spread,
)
from xaicore.interpretation.features import (
    RelevantFeatures,
    Stability,
    Unit,
    identify,
    largest_mu,
    mu_path,
    stability,
)
from xaicore.interpretation.fields import Field, receptive_fields
from xaicore.interpretation.lasso import NormalEquations, kkt_residual, mu_lasso
from xaicore.interpretation.responses import Layer, Responses, responses
from xaicore.interpretation.vebi import VEBI, Decoupled

FITTED: dict[str, type[Explainer]] = {VEBI.name: VEBI}
"""Methods that are fitted to a data set before they explain, by name; built in Python alone."""

__all__ = [
    "FITTED",
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
