"""The studies of the Opti-CAM chapter: what the method is worth, and what its options change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from studies.scoring import ranked, saliency, scored
from studies.subjects import LITE, Subject
from xaibook.variants import selectivity
from xaibook.wide import from_records
from xaicore import attribution as methods
from xaicore.attribution import Explainer
from xaicore.attribution.opticam import NORMALIZATIONS, OBJECTIVES, PRESETS
from xaicore.classifier import Classifier
from xaicore.evaluation.api import evaluate
from xaicore.metrics import randomized, spearman, structural_similarity

Factory = Callable[[Classifier], Explainer]

ITERATIONS = (10, 25, 50, 100, 200)
ALPHAS = (0.01, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
RIVALS: dict[str, Factory] = {
    "grad-cam": methods.GradCAM,
    "grad-cam++": methods.GradCAMPlusPlus,
    "score-cam": methods.ScoreCAM,
    "opti-cam": methods.OptiCAM,
}
PAIRS = tuple(product(OBJECTIVES, NORMALIZATIONS))
"""Every objective with every normalisation."""

DECISIVE = tuple(
    (objective, normalization)
    for objective, normalization in PAIRS
    if objective == "mask" or normalization == "range"
)
"""Those that the paper compares: each option beside the default of the other."""

LAYERS = {
    "SmallResNet": ("stem", "stages.0", "stages.1", "stages.2"),
    "ResNet": ("layer1", "layer2", "layer3", "layer4"),
}
FIRST = {"ResNet": ("relu",)}
"""Layers before those: they have no weights of their own that could be drawn anew."""

CHEAP = {name: RIVALS[name] for name in ("grad-cam", "grad-cam++", "opti-cam")}
"""Without Score-CAM, where it would have to explain everything several times."""

QUICK: dict[str, Factory] = {**CHEAP, "opti-cam": partial(methods.OptiCAM, preset="fast")}
"""For photographs, where Opti-CAM is optimised many times: in its fast preset."""

STEADY = partial(methods.OptiCAM, preset=replace(PRESETS["fast"], half=False))
"""The fast preset without bfloat16."""


def judged(subject: Subject, maps: Mapping[str, Any], **options: Any) -> pd.DataFrame:
    """Methods, or maps that are there, judged on a subject: a row for each image and method."""
    found = evaluate(subject.classifier, subject.dataset, maps, strict=True, **options)
    return from_records(found).assign(network=subject.name)


def baselines(subject: Subject) -> Iterator[pd.DataFrame]:
    """Three methods, optimised and judged against two baselines."""
    for baseline in ("black", "mean"):
        explainers = {
            "fake-cam": methods.FakeCAM(subject.classifier),
            "grad-cam": methods.GradCAM(subject.classifier),
            "opti-cam": methods.OptiCAM(subject.classifier, baseline=baseline),
        }
        found = judged(subject, explainers, baseline=baseline, batch_size=8)
        yield found.assign(baseline=baseline)


def floors(subject: Subject) -> Iterator[pd.DataFrame]:
    """The map that shows all but a pixel, and the one that shows what the picture is of."""
    maps = {
        "fake-cam": methods.FakeCAM(subject.classifier),
        "mask": subject.truth.masks.float(),  # type: ignore[union-attr]
    }
    yield judged(subject, maps, batch_size=subject.batch_size, truth=subject.truth)


def comparison(subject: Subject, rivals: Mapping[str, Factory] = CHEAP) -> Iterator[pd.DataFrame]:
    """The paper's main table, for more images and networks than all methods can explain."""
    for method, make in {"fake-cam": methods.FakeCAM, **rivals}.items():
        kept = explained(subject, method, make(subject.classifier))
        maps = saliency(kept["maps"], subject.dataset[0][0].shape[-2:])
        found = judged(subject, {method: maps}, batch_size=8, truth=subject.truth)
        yield found.assign(seconds=kept["seconds"])


def rectifier(subject: Subject) -> Iterator[pd.DataFrame]:
    """Grad-CAM with its rectifier and without, beside two rivals that have nothing to rectify."""
    makers: dict[str, Factory] = {
        "grad-cam": methods.GradCAM,
        "grad-cam unrectified": partial(methods.GradCAM, rectified=False),
        "grad-cam++": methods.GradCAMPlusPlus,
        "layer-cam": methods.LayerCAM,
    }
    explainers = {name: make(subject.classifier) for name, make in makers.items()}
    yield judged(subject, explainers, batch_size=subject.batch_size, truth=subject.truth)


def objectives(
    subject: Subject,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    preset: str = "paper",
) -> Iterator[pd.DataFrame]:
    """Objectives with normalisations; a map is used as it was optimised."""
    for objective, normalization in pairs:
        explain = methods.OptiCAM(
            subject.classifier, objective=objective, normalization=normalization, preset=preset
        )
        variant = f"{objective} {normalization}"
        label = "opti-cam" if variant == "mask range" else f"opti-cam {variant}"
        kept = explained(subject, label, explain)
        yield scored(subject, kept, explain.saliency, variant=variant)


def steps_taken(subject: Subject, counts: Sequence[int] = ITERATIONS) -> Iterator[pd.DataFrame]:
    """Fewer and more steps than the paper's hundred."""
    for steps in counts:
        explain = methods.OptiCAM(subject.classifier, iterations=steps)
        label = "opti-cam" if steps == 100 else f"opti-cam {steps}"
        kept = subject.maps(label, explain, "{}")
        yield scored(subject, kept, method="opti-cam", variant=str(steps))


def iterations(subject: Subject) -> Iterator[pd.DataFrame]:
    """Fewer and more steps than the paper's hundred, the fast preset, and two other methods."""
    yield from steps_taken(subject)
    kept = explained(subject, "opti-cam", QUICK["opti-cam"](subject.classifier))
    yield scored(subject, kept, method="opti-cam", variant="fast")
    for method in ("grad-cam", "score-cam"):
        kept = subject.maps(method, RIVALS[method](subject.classifier), "{}")
        yield scored(subject, kept, method=method, variant="as it is")


def layers(subject: Subject, rivals: Mapping[str, Factory] = CHEAP) -> Iterator[pd.DataFrame]:
    """Feature maps of earlier layers."""
    kind = type(subject.classifier.net).__name__
    for name in (*FIRST.get(kind, ()), *LAYERS[kind]):
        classifier = _at(subject.classifier, name)
        for method, make in rivals.items():
            kept = explained(subject, f"{method} {name}", make(classifier))
            yield scored(subject, kept, variant=name, method=method)


def classes(subject: Subject, rivals: Mapping[str, Factory] = CHEAP) -> Iterator[pd.DataFrame]:
    """Maps of other classes, judged by the confidence in the true one."""
    order, true = ranked(subject)
    asked = {"true": true, "predicted": order[:, 0], "second": order[:, 1], "least": order[:, -1]}
    for method, make in rivals.items():
        for name, targets in asked.items():
            label = method if name == "true" else f"{method} {name}"
            kept = explained(subject, label, make(subject.classifier), targets)
            table = scored(subject, kept, variant=name, method=method)
            yield table.assign(predicted=order[:, 0].numpy())


def selectivities(subject: Subject) -> Iterator[pd.DataFrame]:
    """Maps raised to powers."""
    for method, make in RIVALS.items():
        kept = subject.maps(method, make(subject.classifier), "{}")
        for alpha in ALPHAS:
            raised = partial(_raised, alpha=alpha)
            yield scored(subject, kept, raised, variant=f"{alpha:g}", method=method)


def unnormalised(
    subject: Subject, rivals: Mapping[str, Factory] = RIVALS
) -> Iterator[pd.DataFrame]:
    """The network fed with pixels as they are, and with the mean and deviation it learnt from."""
    network = subject.classifier
    raw = Classifier(network.net, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), network.layer)
    fed = {"unnormalised": replace(subject, classifier=raw), "normalised": subject}
    makers = {"fake-cam": methods.FakeCAM, **rivals}
    for (method, make), (variant, shown) in product(makers.items(), fed.items()):
        label = method if variant == "normalised" else f"{method} {variant}"
        kept = explained(shown, label, make(shown.classifier))
        yield scored(shown, kept, variant=variant, method=method)


def sanity(subject: Subject) -> Iterator[pd.DataFrame]:
    """How much a map changes when the network forgets, layer by layer from its logits down."""
    size = subject.dataset[0][0].shape[-2:]
    blocks = ("fc", *reversed(LAYERS[type(subject.classifier.net).__name__]))
    makers: dict[str, Factory] = {"grad-cam": methods.GradCAM, "opti-cam": methods.OptiCAM}
    for method, make in makers.items():
        kept = subject.maps(method, make(subject.classifier), "{}")
        first = saliency(kept["maps"], size)
        for depth, (layer, forgot) in enumerate(randomized(subject.classifier, blocks), 1):
            kept = subject.maps(f"{method} random {layer}", make(forgot), "{}")
            then = saliency(kept["maps"], size)
            yield pd.DataFrame(
                {
                    "network": subject.name,
                    "method": method,
                    "variant": layer,
                    "depth": depth,
                    "image": range(len(subject)),
                    "spearman": spearman(first, then),
                    "ssim": structural_similarity(first, then),
                }
            )


def explained(
    subject: Subject, label: str, explain: Explainer, targets: Tensor | None = None
) -> dict[str, Any]:
    """Return kept maps, those of a preset that is not the paper's under a name of their own."""
    settings = getattr(explain, "settings", PRESETS["paper"])
    if settings == PRESETS["paper"]:
        return subject.maps(label, explain, "{}", targets)
    return subject.maps(f"{label} fast", explain, str(settings), targets)


def _at(classifier: Classifier, layer: str) -> Classifier:
    """The same network, explained at another layer."""
    mean, std = (values.flatten().tolist() for values in (classifier.mean, classifier.std))
    return Classifier(classifier.net, mean, std, layer)


def _raised(maps: Tensor, size: torch.Size, alpha: float) -> Tensor:
    """The saliency of raw maps, to a power."""
    return selectivity(saliency(maps, size), alpha)


@dataclass(frozen=True)
class Study:
    """What is studied, and on how many images.

    Attributes:
        make: yields parts of the table for one network and its images.
        flowers: the number of flowers, for each of the book's networks.
        photographs: the number of photographs, by network.
        told: what else is to be said of the records.
    """

    make: Callable[[Subject], Iterator[pd.DataFrame]]
    flowers: int
    photographs: Mapping[str, int]
    told: Mapping[str, object] = field(default_factory=dict)


STUDIES = {
    "real": Study(baselines, 0, {"resnet18": 200}),
    "baselines": Study(baselines, 300, {}),
    "floors": Study(floors, 300, {}),
    "photographs": Study(comparison, 0, {"resnet18": 300, "squeezenet1_0": 300, "resnet50": 100}),
    "networks": Study(
        partial(comparison, rivals={**CHEAP, "opti-cam": STEADY}),
        0,
        {LITE: 300, "mobilenet_v2": 300},
    ),
    "objectives": Study(objectives, 300, {}),
    "iterations": Study(iterations, 300, {}),
    "photographs-iterations": Study(partial(steps_taken, counts=(50, 100)), 0, {"resnet18": 300}),
    "layers": Study(layers, 300, {}),
    "classes": Study(classes, 300, {}),
    "selectivity": Study(selectivities, 300, {"resnet18": 100}),
    "unnormalised": Study(unnormalised, 300, {}),
    "sanity": Study(sanity, 100, {}),
    "rectifier": Study(rectifier, 300, {"resnet18": 300, "squeezenet1_0": 300}),
    "photographs-objectives": Study(
        partial(objectives, pairs=DECISIVE, preset="fast"), 0, {"resnet18": 300}
    ),
    "photographs-layers": Study(partial(layers, rivals=QUICK), 0, {"resnet18": 64}),
    "photographs-classes": Study(partial(classes, rivals=QUICK), 0, {"resnet18": 100}),
    "photographs-unnormalised": Study(partial(unnormalised, rivals=QUICK), 0, {"resnet18": 300}),
}
