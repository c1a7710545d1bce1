"""The page for users of other libraries shows what was measured."""

import json


def test_the_page_shows_what_is_stored(root):
    page = (root / "book" / "coming_from.md").read_text(encoding="utf-8")
    stored = json.loads((root / "benchmarks" / "coming_from.json").read_text(encoding="utf-8"))
    for row in stored["rows"]:
        assert (
            f"| `{row['theirs']}` | `{row['ours']}` | {row['apart']:.0e} | {row['differs']}" in page
        )
    shown = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(shown) == len(stored["rows"])
    assert all(
        f"{name} {number}" in page for name, number in stored["versions"].items() if name != "torch"
    )
