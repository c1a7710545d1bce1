"""Count what each page asks of its reader, and say where it breaks the rules of a chapter.

``python book/lint.py`` reads sources and stored outputs and runs nothing.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from driver.counts import counts
from driver.reading import Page, page
from driver.rules import advice, problems
from driver.slips import makers, slips

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = _parser().parse_args(arguments)
    pages = [*_pages(options.at, options.chapter)]
    if not pages:
        print(f"there is no chapter {options.chapter}", file=sys.stderr)
        return 1
    counted = {each.name: counts(each) for each in pages}
    print(json.dumps(counted, indent=1) if options.json else table(counted))
    names = makers(ROOT)
    found = {each.name: problems(each) for each in pages}
    for each in pages if not options.at else []:
        found[each.name] += slips(ROOT / "notebooks" / f"{each.name}.ipynb", each, names)
    for each in pages if not options.json else []:
        for line in found[each.name]:
            print(f"{each.name}: must change: {line}")
        for line in advice(each):
            print(f"{each.name}: may change: {line}")
    return int(any(found.values())) if options.strict else 0


def table(counted: dict[str, dict[str, float | int | str]]) -> str:
    """Return the counts as a table of Markdown."""
    heads = ["chapter", *next(iter(counted.values()))]
    rows = [[name, *map(str, values.values())] for name, values in counted.items()]
    return "\n".join(
        f"| {' | '.join(row)} |" for row in [heads, ["---"] + ["--:"] * (len(heads) - 1), *rows]
    )


def _pages(commit: str | None, name: str | None) -> list[Page]:
    """Return the chapters as they are, or as they were in a commit."""
    if commit is None:
        paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
        return [page(path) for path in paths if name in (None, path.stem)]
    listed = _git("ls-tree", "--name-only", commit, "notebooks/").split()
    paths = [Path(file) for file in listed if file.endswith(".ipynb")]
    return [page(p, _git("show", f"{commit}:{p}")) for p in paths if name in (None, p.stem)]


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True
    ).stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chapter", help="one chapter (all)")
    parser.add_argument("--at", metavar="COMMIT", help="the chapters as they were in a commit")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON, and no more")
    parser.add_argument("--strict", action="store_true", help="fail if a rule is broken")
    return parser


if __name__ == "__main__":
    sys.exit(main())
