"""Publish the values that chapters check, or compare them with the published ones, by setting."""

from collections.abc import Mapping, Sequence

from driver.chapter import Chapter
from driver.gather import Gathered, gather
from driver.settings import Setting
from xaibook.references import PublicationError, combine, differences, read, write

DECLARED = Setting("avx2", 1)
"""The setting whose values are published: what most machines have; elsewhere the first is."""


def publish(chapters: Sequence[Chapter], settings: Sequence[Setting], profile: str) -> int:
    """Run chapters under many settings and publish the values they check, with their spreads.

    A chapter that fails, or has a value that must not be published, is left as it was.

    Args:
        chapters: The chapters.
        settings: The settings; the spread is that among them.
        profile: The profile whose values are published.

    Returns:
        How many chapters were not published.
    """
    _announce(chapters, settings)
    declared = (DECLARED if DECLARED in settings else settings[0]).name
    refused = 0
    for chapter, found in gather(chapters, settings, profile).items():
        try:
            new = _published(found, declared, _stored(chapter, profile), _stored(chapter, "smoke"))
            write(chapter.references(profile), new)
            print(f"{chapter.name} ({profile}): {len(new)} values published")
        except PublicationError as error:
            refused += 1
            print(f"{chapter.name} ({profile}) is not published: {error}")
    return refused


def compare(chapters: Sequence[Chapter], settings: Sequence[Setting]) -> int:
    """Run the smoke profile under many settings and say which published values differ.

    Args:
        chapters: The chapters.
        settings: The settings.

    Returns:
        How many runs did not give what is published, or stored in the notebook.
    """
    _announce(chapters, settings)
    wrong = {
        chapter: {
            name: each.problems or differences(read(chapter.references("smoke")), each.values)
            for name, each in found.items()
        }
        for chapter, found in gather(chapters, settings, "smoke").items()
    }
    print("", _table(wrong), *_listed(wrong), sep="\n")
    return sum(bool(lines) for by_setting in wrong.values() for lines in by_setting.values())


def _stored(chapter: Chapter, profile: str) -> dict:
    path = chapter.references(profile)
    return read(path) if path.is_file() else {}


def _published(found: Mapping[str, Gathered], declared: str, old: dict, smoke: dict) -> dict:
    problems = [line for each in found.values() for line in each.problems]
    if problems:
        raise PublicationError("\n".join(["", *problems]))
    values = {name: each.values for name, each in found.items()}
    return combine(values, declared, old, smoke)


def _announce(chapters: Sequence[Chapter], settings: Sequence[Setting]) -> None:
    names = ", ".join(setting.name for setting in settings)
    print(f"Running {len(chapters)} chapters under {names}", flush=True)


def _table(wrong: Mapping[Chapter, Mapping[str, list[str]]]) -> str:
    """Return one line per chapter, one column per setting."""
    width = max(len(chapter.name) for chapter in wrong)
    names = next(iter(wrong.values()))
    lines = [" ".join([" " * width, *(f"{name:>10}" for name in names)])]
    for chapter, by_setting in wrong.items():
        cells = [f"{len(by_setting[name])} differ" if by_setting[name] else "yes" for name in names]
        lines.append(" ".join([f"{chapter.name:{width}}", *(f"{cell:>10}" for cell in cells)]))
    return "\n".join(lines)


def _listed(wrong: Mapping[Chapter, Mapping[str, list[str]]]) -> list[str]:
    return [
        f"{chapter.name} [{name}]: {line}"
        for chapter, by_setting in wrong.items()
        for name, lines in by_setting.items()
        for line in lines
    ]
