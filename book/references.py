"""Publish the values that chapters check, or compare them with the published ones, by setting.

``python book/references.py`` is what ``make references`` and ``make portable`` call.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from driver.chapter import Chapter, chosen
from driver.data import look_beside
from driver.gather import Gathered, gather
from driver.settings import Setting, SettingError, named, other, settings
from xaibook.published import PublicationError, combine, differences, read, write

ROOT = Path(__file__).resolve().parents[1]

DECLARED = Setting("avx2", 1)
"""The setting whose values are published: what most machines have; elsewhere the first is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    look_beside(ROOT)
    try:
        some, many = chosen(ROOT, options.chapter), under(ROOT, options.setting)
    except (FileNotFoundError, SettingError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 2
    wrong = compare(some, many) if options.compare else publish(some, many, options.profile)
    return 1 if wrong else 0


def under(root: Path, names: Sequence[str]) -> list[Setting]:
    """Return this machine's settings of these names, all of them for none.

    The name ``commit`` stands for the one under which the present commit is tested.

    Raises:
        SettingError: If this machine has no setting of a name.
    """
    known = settings()
    if list(names) != ["commit"]:
        return named(names, known)
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    setting = other(commit, known)
    print(f"Commit {commit[:7]} is tested under the setting {setting.name}, too", flush=True)
    return [setting]


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
            smallest = _stored(chapter, "smoke") if profile != "smoke" else {}
            new = _published(found, declared, _stored(chapter, profile), smallest)
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
        chapter: {name: _unlike(chapter, each) for name, each in found.items()}
        for chapter, found in gather(chapters, settings, "smoke").items()
    }
    print("", _table(wrong), *_listed(wrong), sep="\n")
    return sum(bool(lines) for by_setting in wrong.values() for lines in by_setting.values())


def _stored(chapter: Chapter, profile: str) -> dict:
    path = chapter.references(profile)
    return read(path) if path.is_file() else {}


def _published(found: Mapping[str, Gathered], declared: str, old: dict, smallest: dict) -> dict:
    if failures := [each.failure for each in found.values() if each.failure]:
        raise PublicationError("\n".join(["", *failures]))
    values = {name: each.values for name, each in found.items()}
    return combine(values, declared, old, smallest)


def _unlike(chapter: Chapter, found: Gathered) -> list[str]:
    """Say why a run failed, or else what is not as published or stored."""
    if found.failure:
        return [found.failure]
    return found.moved + differences(_stored(chapter, "smoke"), found.values)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compare", action="store_true", help="the smoke values; publish nothing")
    parser.add_argument("--profile", choices=("smoke", "book"), default="book", help="(book)")
    parser.add_argument("--chapter", help="of this chapter only (all)")
    parser.add_argument("--setting", action="append", default=[], help="under this one (all)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
