"""All methods by all measures, on one network and its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from studies import subjects
from studies.subjects import Subject, say
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.attribution import Explainer
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.metrics import CausalProtocol

SEEDS = (0, 1, 2)
NETWORKS = ("resnet18", "squeezenet1_0")
WIDE_BLUR = (51, 25.0)
"""Where insertion starts on flowers; the paper's blur, scaled to 64 pixels, hides nothing there."""

HALF = "bfloat16 inside masking and gradient methods of many passes and along the curves"
Factory = Callable[[Classifier], Explainer]

CHEAP: dict[str, Factory] = {
    "fake-cam": methods.FakeCAM,
    "grad-cam": methods.GradCAM,
    "grad-cam++": methods.GradCAMPlusPlus,
    "xgrad-cam": methods.XGradCAM,
    "layer-cam": methods.LayerCAM,
    "hires-cam": methods.HiResCAM,
    "ablation-cam": methods.AblationCAM,
    "saliency": methods.Saliency,
    "input-x-gradient": methods.InputXGradient,
    "guided-backprop": methods.GuidedBackprop,
}
"""Methods that take a few passes."""

FLOWERS: dict[str, Factory] = {
    "score-cam": methods.ScoreCAM,
    "opti-cam": methods.OptiCAM,
    "rise": partial(methods.RISE, masks=300),
    "occlusion": methods.Occlusion,
    "integrated-gradients": partial(methods.IntegratedGradients, steps=16),
    "smoothgrad": partial(methods.SmoothGrad, samples=16),
    "gradient-shap": partial(methods.GradientShap, samples=16),
}

LEARNED: dict[str, Factory] = {
    "extremal-perturbation": partial(methods.ExtremalPerturbation, iterations=100)
}
"""So slow that one network on flowers is all that it explains here."""

PHOTOGRAPHS: dict[str, Factory] = {
    "score-cam": methods.ScoreCAM,
    "opti-cam": methods.OptiCAM,
    "rise": partial(methods.RISE, masks=128),
    "occlusion": partial(methods.Occlusion, stride=32),
    "integrated-gradients": partial(methods.IntegratedGradients, steps=8),
    "smoothgrad": partial(methods.SmoothGrad, samples=8),
    "gradient-shap": partial(methods.GradientShap, samples=8),
}

FULL_PRECISION = (*CHEAP, "opti-cam")
"""Never in bfloat16: cheap anyway, or they amplify rounding."""


@dataclass(frozen=True)
class Benchmark:
    """How one subject is explained and scored.

    Attributes:
        subject: the network and its images.
        heavy: the methods that take many passes, with their settings.
        curves: the protocol of insertion and deletion.
        half: whether many passes are made in bfloat16; each map is scored in float32 anyway.
    """

    subject: Subject
    heavy: Mapping[str, Factory]
    curves: CausalProtocol
    half: bool

    def maps(self, method: str, make: Factory) -> dict[str, Any]:
        """Return the raw maps of a method and the seconds of each."""
        settings = str(getattr(make, "keywords", {}))
        half = self.half and method not in FULL_PRECISION
        return self.subject.maps(method, make(self.subject.classifier), settings, half=half)

    def explain(self, only: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the maps of every method that is defined for the network, or of one."""
        return {
            method: self.maps(method, make)
            for method, make in {**CHEAP, **self.heavy}.items()
            if only in (None, method) and not self._refuses(method, make)
        }

    def records(self) -> pd.DataFrame:
        """Return a wide table of every method."""
        made = self.explain()
        table = self._measure({name: kept["maps"] for name, kept in made.items()}, self._floors())
        seconds = torch.cat([kept["seconds"] for kept in made.values()])
        table["seconds"] = [*seconds.tolist(), *[0.0] * (len(table) - len(seconds))]
        return table

    def facts(self) -> dict[str, object]:
        """Return what is to be said of the records."""
        return {
            "network": self.subject.network,
            "images": self.subject.images,
            "settings": {
                name: make.keywords
                for name, make in self.heavy.items()
                if isinstance(make, partial)
            },
            "curves": f"{self.curves.steps} steps, blur {self.curves.blur}, removed: "
            f"{self.curves.removed}",
            "precision": HALF if self.half else "float32",
        }

    def _floors(self) -> dict[str, Tensor]:
        """The maps that know nothing of the network."""
        model = self.subject.classifier
        images = torch.stack([image for image, _ in self.subject.dataset])  # type: ignore[attr-defined]
        noise = [methods.Noise(model, seed)(image[None]) for seed, image in enumerate(images)]
        return {
            "noise": torch.cat(noise),
            "centre": methods.Centre(model)(images),
            "edges": methods.Edges(model)(images),
        }

    def _refuses(self, method: str, make: Factory) -> bool:
        """Whether the method is not defined for the network."""
        try:
            make(self.subject.classifier)
        except ValueError as error:
            say(f"{self.subject.name}: no {method}: {error}")
            return True
        return False

    def _measure(self, maps: Mapping[str, Tensor], floors: Mapping[str, Tensor]) -> pd.DataFrame:
        """Score maps; where passes are dear, the floors have no curves."""
        subject, every = self.subject, {**maps, **floors}
        run = partial(evaluate, subject.classifier, subject.dataset, batch_size=8, strict=True)
        table = from_records(run(every, truth=subject.truth))
        say(f"{subject.name}: masked and placed")
        followed = maps if self.half else every
        precision = "bfloat16" if self.half else "float32"
        curves = run(followed, ["insertion", "deletion"], curves=self.curves, precision=precision)
        columns = ["method", "image", "insertion", "deletion"]
        return table.merge(from_records(curves)[columns], how="left", validate="one_to_one")


def flower_benchmark(seed: int, count: int) -> Benchmark:
    """All methods on rendered flowers."""
    return Benchmark(
        subject=subjects.flowers(seed, count),
        heavy=FLOWERS | LEARNED if seed == SEEDS[0] else FLOWERS,
        curves=CausalProtocol(steps=10, blur=WIDE_BLUR),
        half=False,
    )


def photograph_benchmark(network: str, data: Path, count: int) -> Benchmark:
    """All methods on photographs."""
    return Benchmark(
        subject=subjects.photographs(network, data, count),
        heavy=PHOTOGRAPHS,
        curves=CausalProtocol(steps=5),
        half=True,
    )
