"""Published values: which tolerance each has, what agrees with it, and what may be published.

A float is published with its spread: how far apart it came out under the instruction sets and
numbers of threads of one machine. Everything else is a truth, and the same everywhere.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Values = Mapping[str, Any]

MULTIPLE = 10
"""How many spreads a value may lie from the published one.

The spread is the range of what some settings gave, and the published value is one of them. Another
machine rounds in a way that was not among them. If all are drawn from one normal distribution, it
comes to lie further away than ten ranges once in 3,500 draws where four settings gave different
bits, once in 270 where three did; four ranges would be exceeded once in 230 and once in 43.
"""

FLOOR = 1e-6
"""What is allowed beside, relative to values above one: sixteen roundings of float32.

Settings may give the same bits by luck, or because the libraries chose the same code; and what is
counted or summarised from a stored table needs less.
"""


class PublicationError(ValueError):
    """A value that must not be published: an unstable truth, or one lost in its tolerance."""


def tolerance(published: Values) -> float:
    """Return how far a float may lie from its published value.

    Args:
        published: Its ``value`` and ``spread``; ``abs_tol`` states a minimum by hand, for what a
            training leaves open.
    """
    measured = MULTIPLE * published["spread"] + FLOOR * max(1.0, abs(published["value"]))
    return max(measured, published.get("abs_tol", 0.0))


def agrees(got: Any, published: Any) -> bool:
    """Whether a value is the published one: floats within their tolerance, all else exactly."""
    if not isinstance(published, dict):
        return bool(got == published and isinstance(got, bool) == isinstance(published, bool))
    if isinstance(got, bool) or not isinstance(got, int | float):
        return False
    return abs(got - published["value"]) <= tolerance(published)


def differences(published: Values, measured: Values) -> list[str]:
    """Return, in words, every value that is not as published, is missing, or is new."""
    wrong = [
        f"{name}: {measured.get(name, 'missing')} here, {_shown(want)} published"
        for name, want in published.items()
        if name not in measured or not agrees(measured[name], want)
    ]
    return wrong + [f"{name}: never published" for name in measured if name not in published]


def combine(
    measured: Mapping[str, Values], declared: str, old: Values, smallest: Values
) -> dict[str, Any]:
    """Return what is published of values that were measured under several settings.

    Args:
        measured: The values of each setting.
        declared: The setting whose floats are published.
        old: What was published before, for the tolerances stated in it by hand.
        smallest: What is published for the smallest profile, which is measured under the most
            settings: relative to its value, no spread is less than the one there.

    Raises:
        PublicationError: If a truth is not the same under all settings, or if a float lies so near
            zero that its tolerance would hide a change of its sign; names them all.
    """
    problems: list[str] = []
    new: dict[str, Any] = {}
    for name, value in measured[declared].items():
        found = {setting: values.get(name) for setting, values in measured.items()}
        if not isinstance(value, float):
            new[name] = value
            problems += _unstable(name, value, found)
        elif floats := _finite(found):
            stated = {k: v for k, v in _float(old, name).items() if k == "abs_tol"}
            spread = max(max(floats) - min(floats), _relative(_float(smallest, name)) * abs(value))
            new[name] = {"value": value, "spread": float(f"{spread:.2g}"), **stated}
            problems += _hidden(name, new[name])
        else:
            problems.append(f"{name} is not a finite float under every setting: {found}")
    names = {name for values in measured.values() for name in values} - set(measured[declared])
    problems += [f"{name} is not measured under {declared}" for name in sorted(names)]
    if problems:
        raise PublicationError("\n".join(["these values cannot be published:", *problems]))
    return new


def read(path: Path) -> dict[str, Any]:
    """Return the values of a file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, values: Values) -> None:
    """Store values in a file.

    Raises:
        ValueError: If a number is not finite.
    """
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _float(published: Values, name: str) -> Values:
    """Return what is published of a float, nothing if nothing is."""
    found = published.get(name)
    return found if isinstance(found, dict) else {}


def _relative(published: Values) -> float:
    return published["spread"] / abs(published["value"]) if "spread" in published else 0.0


def _finite(found: Values) -> list[float]:
    """Return the values if all are finite floats, none otherwise."""
    good = all(isinstance(each, float) and math.isfinite(each) for each in found.values())
    return list(found.values()) if good else []


def _unstable(name: str, value: Any, found: Values) -> list[str]:
    if all(agrees(each, value) for each in found.values()):
        return []
    return [f"{name} is a truth, but not the same under every setting: {found}"]


def _hidden(name: str, published: Values) -> list[str]:
    allowed = tolerance(published)
    if abs(published["value"]) > allowed:
        return []
    return [
        f"{name}: {published['value']:g} with a tolerance of {allowed:g} hides its sign; compute "
        "it in float64, or publish what follows from it as a truth"
    ]


def _shown(published: Any) -> str:
    if not isinstance(published, dict):
        return str(published)
    return f"{published['value']} ± {tolerance(published):.2g}"
