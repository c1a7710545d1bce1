"""Which class of the network a folder or a label is: by its name, its number, or its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xaicore.classifier import hint

PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}
"""What parts of a data set are called, which are no classes."""


def folder_classes(
    names: Sequence[str], classes: Sequence[str] | None, logits: Callable[[], int | None]
) -> tuple[list[int], str]:
    """Return the class of each folder, and in words where it came from.

    A folder is called as a class is, or by its number. Where no folder is, and there are as many
    as the network has logits, each is the class of its place among them.

    Args:
        names: what the folders are called, sorted.
        classes: what the network calls its classes, if it does.
        logits: returns how many classes it has; ``None`` if there is no network.

    Raises:
        ValueError: a folder is no class.
    """
    named = [named_places(name, classes) for name in names]
    count = None if all(len(places) == 1 for places in named) else logits()
    _refuse_both_counts(names, named, "images: the folder")
    found = [
        places[0] if len(places) == 1 else None if places else _number(name, count)
        for name, places in zip(names, named, strict=True)
    ]
    known = [number for number in found if number is not None]
    if len(known) == len(names):
        return known, f"classes: the {_kinds(named)} of {_folders(len(names))}"
    unknown = [name for name, number in zip(names, found, strict=True) if number is None]
    if known or any(named):
        _refuse_mixture(names, unknown, named, classes)
    parts = set(map(str.lower, names)) <= PARTS
    if parts:
        raise ValueError(
            f"images: the folders {', '.join(names)} are parts of a data set, not classes: give one"
        )
    if count == len(names):
        places = ", ".join(f"{name} {place}" for place, name in enumerate(names[:3]))
        more = ", …" * (len(names) > 3)
        return [*range(count)], f"classes: the order of {_folders(count)} ({places}{more})"
    raise ValueError(
        f"images: the folder '{unknown[0]}' is no class of the network: name folders as classes or "
        f"by their numbers, have one for each of the {count} classes, not {len(names)}, give "
        "the folder that the pictures lie in, or a table of labels"
    )


def label_classes(
    labels: Sequence[str], classes: Sequence[str] | None
) -> tuple[list[int | str], str]:
    """Return the class of each label, or what is wrong with it; and whether names or numbers tell.

    Args:
        labels: names or numbers of classes, as texts.
        classes: what the network calls its classes, if it does.

    Raises:
        ValueError: classes are called by numbers, and some labels are such names and some are not;
            or labels count from 1.
    """
    texts = [_without_point(label.strip()) for label in labels]
    known = {text: named_places(text, classes) for text in dict.fromkeys(texts)}
    _refuse_both_counts([*known], [*known.values()], "labels:")
    found = {text: _label(text, places, classes) for text, places in known.items()}
    used = [known[text] for text, number in found.items() if isinstance(number, int)]
    _refuse_from_1([number for number in found.values() if isinstance(number, int)], classes)
    return [found[text] for text in texts], _kinds(used) if used else "labels"


def named_places(name: str, classes: Sequence[str] | None) -> list[int]:
    """Return the classes of a name; of several that differ in case alone, the one written so."""
    known = list(enumerate(classes or ()))
    exact = [place for place, other in known if other == name]
    return exact or [place for place, other in known if other.lower() == name.lower()]


def _refuse_from_1(numbers: Sequence[int], classes: Sequence[str] | None) -> None:
    """Refuse labels of which one is the number of classes, and none 0."""
    if classes and numbers and min(numbers) == 1 and max(numbers) == len(classes):
        raise ValueError(
            f"labels: they count from 1 to {len(classes)}, and the classes of the network from 0 "
            f"to {len(classes) - 1}: take one off each, or give names"
        )


def _label(text: str, places: list[int], classes: Sequence[str] | None) -> int | str:
    if not text:
        return "it has no label"
    if len(places) == 1:
        return places[0]
    if places:
        return f"label '{text}' is more than one class of the network"
    if text.removeprefix("-").isdecimal():
        number = int(text)
        return number if number >= 0 else f"label {number} is no class: classes count from 0"
    if not classes:
        return (
            f"label '{text}' is no class of the network, which has no names for them: give "
            "numbers, or Classifier(…, classes=…)"
        )
    near = hint(text.lower(), [name.lower() for name in classes])
    return f"label '{text}' is no class of the network{near}"


def _without_point(text: str) -> str:
    """A number that was saved as 3.0 is 3."""
    number = text.removesuffix(".0")
    return number if number.removeprefix("-").isdecimal() else text


def _number(name: str, count: int | None) -> int | None:
    if not name.isdecimal() or (count is not None and int(name) >= count):
        return None
    return int(name)


def _refuse_both_counts(names: Sequence[str], named: Sequence[list[int]], what: str) -> None:
    """Refuse numbers of which some are names of classes, so that nobody knows what others are."""
    digits = [(name, bool(of)) for name, of in zip(names, named, strict=True) if name.isdecimal()]
    by_name = [name for name, is_name in digits if is_name]
    others = [name for name, is_name in digits if not is_name]
    if by_name and others:
        raise ValueError(
            f"{what} '{others[0]}' is the name of no class, but '{by_name[0]}' is: where classes "
            "are called by numbers, all must be"
        )


def _refuse_mixture(
    names: Sequence[str],
    unknown: Sequence[str],
    named: Sequence[list[int]],
    classes: Sequence[str] | None,
) -> None:
    many = [name for name, places in zip(names, named, strict=True) if len(places) > 1]
    if many:
        raise ValueError(
            f"images: the folder '{many[0]}' is more than one class of the network: name it by "
            "its number"
        )
    known = next(name for name in names if name not in unknown)
    several = f"folders {', '.join(map(repr, unknown[:5]))}{', …' * (len(unknown) > 5)} are"
    told = several if len(unknown) > 1 else f"folder '{unknown[0]}' is"
    near = hint(unknown[0].lower().replace("_", " "), [name.lower() for name in classes or ()])
    count = " (classes count from 0)" if unknown[0].isdecimal() else ""
    raise ValueError(
        f"images: the {told} no class of the network{count}, though '{known}' is: rename "
        f"{'them' if len(unknown) > 1 else 'it'}, or give a table of labels{near}"
    )


def _kinds(named: Sequence[list[int]]) -> str:
    by_name = [bool(places) for places in named]
    if all(by_name):
        return "names"
    return "names and numbers" if any(by_name) else "numbers"


def _folders(count: int) -> str:
    return f"{count} folder{'s' * (count != 1)}"
