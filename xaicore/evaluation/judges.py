"""Networks that judge the maps of another, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xaicore.attribution.explainer import check_evaluation_mode
from xaicore.classifier import Classifier
from xaicore.metrics.measures import JUDGES, MEASURES


def chosen(
    judges: Mapping[str, Any] | None, classifier: Classifier, metrics: Sequence[str]
) -> dict[str, Classifier]:
    """Return the judges of a network's maps in the order of their names.

    That they have as many classes as the network shows when they are asked first.

    Args:
        judges: classifiers by name; ``None``: nobody judges.
        classifier: the network that is explained.
        metrics: what is measured.

    Raises:
        ValueError: a metric needs judges and there are none, or they are there and no metric needs
            them; one is no classifier, is not in evaluation mode, takes other channels, is on
            another device, or calls a class by another name.
    """
    asking = [name for name in metrics if MEASURES[name].needs == JUDGES]
    if judges is not None and not isinstance(judges, Mapping):
        raise ValueError(
            "judges must be a dictionary of classifiers by the name that records carry, "
            f"{{'resnet18': model}}, not a {type(judges).__name__}"
        )
    if asking and not judges:
        raise ValueError(f"metrics: for {', '.join(asking)} give judges, other networks by name")
    if judges and not asking:
        raise ValueError("judges: no metric asks them: name transfer among the metrics")
    found = dict(sorted((judges or {}).items()))
    for name, judge in found.items():
        _check(name, judge, classifier)
    return found


def _check(name: str, judge: Any, classifier: Classifier) -> None:
    if not isinstance(judge, Classifier):
        raise ValueError(f"judges: {name} must be a Classifier, not a {type(judge).__name__}")
    try:
        check_evaluation_mode(judge)
    except ValueError as error:
        raise ValueError(f"judges: {name}: {error}") from error
    if judge.channels != classifier.channels:
        raise ValueError(
            f"judges: {name} takes {judge.channels} channels, the network {classifier.channels}"
        )
    here, there = classifier.mean.device, judge.mean.device
    if here != there:
        raise ValueError(f"judges: {name} is on {there}, the network on {here}: move it, .to(…)")
    if judge.classes is None or classifier.classes is None:
        return
    for place, pair in enumerate(zip(classifier.classes, judge.classes, strict=False)):
        if pair[0] != pair[1]:
            raise ValueError(
                f"judges: class {place} is '{pair[1]}' to {name} and '{pair[0]}' to the network: "
                "a judge must have learnt the same classes, in the same order"
            )
