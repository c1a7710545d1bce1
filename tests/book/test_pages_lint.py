"""Pages keep what their readers rely on; the checks are of sources and stored outputs alone."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import lint
from driver import rules, slips
from driver.counts import counts, numbers_in, sentences, unread
from driver.reading import Page, Part, Place, of_markdown, of_notebook, page

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROSE = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
CHECKED = [path for path in [*NOTEBOOKS, *PROSE] if path.suffix == ".md" or page(path).framed]


@pytest.fixture(scope="module")
def names():
    """Return the names of the functions whose result is shown."""
    found = slips.makers(ROOT)
    assert {"table", "slider", "sheet"} <= found
    return found


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.stem)
def test_a_page_has_no_slips(path, names):
    assert slips.slips(path, page(path), names) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_framed_chapter_keeps_the_rules(path):
    assert rules.problems(page(path)) == []


def _page(text: str) -> Page:
    return Page("toy", tuple(of_markdown(text, Place({"n": "300", "gain": "4.2 ± 0.3"}))))


TOP = """(ch:toy)=
# Does it teach?

It does.

```{admonition} In short
:class: xc-short
- One {ref}`sec:a`.
- Two {ref}`sec:a`.
- Three {ref}`sec:a`.
```

```{admonition} Before you start
:class: xc-start
You need nothing.
```

```{figure} a.png
:name: fig:a
```

(sec:a)=
## What does it ask?

See {numref}`fig:a`. WORDS

```{admonition} Take-away
:class: xc-takeaway
Little.
```

## What could fool you

## Summary

## Further reading

## Exercises

EXERCISES

And on.
"""
EXERCISE = """```{admonition} Exercise N (do)
:class: xc-exercise
Try.
```
```{admonition} Solution N
:class: dropdown
Done.
```
"""
GOOD = TOP.replace("WORDS", "It is so.").replace("EXERCISES", 6 * EXERCISE)
TRY = Part("code", raw="xc.GradCAM()", name="python", tags=("try-it",))


def _framed(text: str = GOOD, code: tuple[Part, ...] = (TRY,)) -> Page:
    parts = _page(text).parts
    return Page("toy", (*parts[:-1], *code, parts[-1]))


def test_a_good_chapter_keeps_the_rules():
    assert rules.problems(_framed()) == []
    assert rules.problems(_page("# Prose\n\nNo frame, no rules.")) == []


WIDE = Part("code", raw="x" * 81, name="python")
SCRATCH = Part("code", raw="w = g.mean()", name="python", tags=("from-scratch",))
FIGURE = "```{figure} b.png\n:name: fig:b\n```\n\n"
BREAKS = {
    "has 2 findings": _framed(GOOD.replace("- Three {ref}`sec:a`.\n", "")),
    "does not lead to its section": _framed(GOOD.replace("Three {ref}`sec:a`", "Three")),
    "no box Before you start": _framed(GOOD.replace("xc-start", "note")),
    "more than 150 words from the title": _framed(GOOD.replace("It does.", "It does. " * 80)),
    "no section 'Further reading'": _framed(GOOD.replace("## Further", "## No")),
    "no text refers to fig:a": _framed(GOOD.replace("{numref}`fig:a`", "it")),
    "7 tables, more than 6": _framed(GOOD.replace("And on", "\n| a |\n|---|\n| b |\n\n" * 7)),
    "has 61 cells": _framed(GOOD.replace("And on", "\n| a |\n|---|\n" + "| b |\n" * 61 + "\nOn")),
    "9 displayed formulas": _framed(GOOD.replace("And on", "\n$$\nx\n$$\n\n" * 9 + "And on")),
    "stands before the first figure": _framed(GOOD.replace("It does.", "$$\nx\n$$\n")),
    "wider than 80 columns": _framed(code=(TRY, WIDE)),
    "a visible cell of 16 lines": _framed(code=(TRY, Part("code", raw="a\n" * 15 + "a"))),
    "not one visible cell tagged try-it": _framed(code=()),
    "no allclose in the cell after": _framed(code=(TRY, SCRATCH)),
    "without its take-away": _framed(GOOD.replace("xc-takeaway", "note")),
    "a take-away of more than 25 words": _framed(GOOD.replace("Little.", "little " * 26)),
    "5 exercises, not 6 to 8": _framed(TOP.replace("EXERCISES", 5 * EXERCISE)),
    "5 of 6 exercises have": _framed(GOOD.replace("Solution N", "Hint", 1)),
    "ends with code that the reader sees": Page("toy", (*_framed().parts, WIDE)),
    "fig:b stands before the text": _framed(GOOD.replace("And on", FIGURE + "{numref}`fig:b`. On")),
    "fewer than 40 words read fig:b": _framed(GOOD.replace("And", "{numref}`fig:b`\n\n" + FIGURE)),
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_broken_rule_of_a_chapter_is_found(message):
    assert any(message in problem for problem in rules.problems(BREAKS[message]))


def _cells(*sources: str, **metadata: object):
    return new_notebook(cells=[new_code_cell(source, metadata=metadata) for source in sources])


def test_an_output_that_is_shown_nowhere_is_found(names):
    shown = ("table(frame)", "for x in y:\n    print(x)\ntable(frame)", "kept = table(a)\nkept")
    assert slips.lost_outputs(_cells(*shown), names) == []
    for lost in ("table(frame)\nx = 1", "if data:\n    html.table(frame)", "sheet(f)\nplt.show()"):
        assert len(slips.lost_outputs(_cells(lost), names)) == 1, lost


def test_wide_code_is_found_where_it_is_seen():
    wide = "x = " + "1" * 80
    assert len(slips.wide_code(of_notebook("toy", _cells(wide)))) == 1
    assert slips.wide_code(of_notebook("toy", _cells(wide, tags=["hide-input"]))) == []
    assert len(slips.wide_code(_page(f"```bash\n{wide}\n```\n\n    {wide}\n"))) == 2


def test_a_command_that_ends_early_is_found():
    assert slips.broken_commands(_page("```bash\ntorchrun a \\\n    b\n```")) == []
    assert len(slips.broken_commands(_page("```bash\ntorchrun a \\\\\n    b\n```"))) == 1


def test_a_torn_sentence_is_found():
    good = (
        "It prints:\n\n```text\n1\n```\n\nThese:\n\n- one\n\nOr:\n\n$$\nx\n$$\n\nor:\n\n    x = 1"
    )
    assert slips.torn_sentences(_page(good)) == []
    assert len(slips.torn_sentences(_page("In Python:\n\nBut first.\n\n```text\n1\n```"))) == 1
    assert len(slips.torn_sentences(_page("In Python:\n\n## Next"))) == 1


@pytest.mark.parametrize(
    ("prose", "call", "sound"),
    [
        ("at least {glue:text}`n` %", 'glue("n", x, ".0f")', False),
        ("at least {glue:text}`n` %", 'glue("n", x, ".0f", rounding="down")', True),
        ("at least {glue:text}`n` %", 'glue("n", x, ".0f", rounding="up")', False),
        ("at least {glue:text}`n` %", 'glue("n", int(x))', True),
        ("at most {glue:text}`a-n`", 'glue(f"{a}-n", x, ".0f", rounding="up")', True),
        ("{glue:text}`n` % or more", 'glue("n", x, fmt=".0f")', False),
        ("it cannot be less than {glue:text}`n`", 'glue("n", x, ".0f")', True),
        ("by less than {glue:text}`n`", 'glue("n", x, ".0f")', False),
        ("by {glue:text}`n`", 'glue("n", x, ".0f")', True),
    ],
)
def test_a_bound_that_is_rounded_inward_is_found(prose, call, sound):
    notebook = new_notebook(cells=[new_markdown_cell(prose), new_code_cell(call)])
    assert (slips.inward_rounding(notebook) == []) is sound


def test_figures_and_tables_that_no_text_refers_to_are_found():
    html = '<div class="xc-table" id="a"><table><tbody><tr><th>1</th><td>2</td></tr></table></div>'
    figure = {"mystnb": {"figure": {"name": "fig:b", "caption": "B."}}}
    cells = [
        new_code_cell("table(a)", outputs=[new_output("display_data", {"text/html": html})]),
        new_code_cell("draw()", metadata=figure),
    ]
    notebook = new_notebook(cells=[*cells, new_markdown_cell("{numref}`tab:a`")])
    assert unread(of_notebook("toy", notebook)) == ["fig:b"]
    assert unread(of_notebook("toy", new_notebook(cells=cells))) == ["tab:a", "fig:b"]


def test_what_is_counted():
    text = """# T

One thing, {glue:text}`n` of 400 pictures, is small. It gains
{glue:text}`gain` points, or 3, e.g. here.

$$
x
$$

```{admonition} Predict
:class: xc-predict
What?
:::{admonition} Answer
:class: dropdown
Words that are folded.
:::
```

| a | b |
|---|---|
| 1 | 2 |

## What could fool you

Four more words here.
"""
    counted = counts(_page(text))
    assert counted["words"] == 8 + 9 + 1 + 4
    assert counted["formulas"] == counted["tables"] == counted["predict"] == 1
    assert counted["cells"] == 2
    assert counted["fool %"] == round(400 / 22)
    assert counted["≥ 2 numbers %"] == 25  # the pair is one number
    assert counted["figures"] == 0


def test_a_table_that_the_reader_narrows_may_be_long():
    """A leaderboard is an instrument: it is sorted and searched, not read."""
    rows = "<tbody>" + "<tr><td>1</td></tr>" * 100
    for kind, said in (("xc-table", 1), ("xc-table xc-sortable", 0)):
        html = f'<div class="{kind}" id="board"><table>{rows}</table></div>'
        cell = new_code_cell("table()", outputs=[new_output("display_data", {"text/html": html})])
        short = new_markdown_cell("```{admonition} In short\n:class: xc-short\nA.\n```")
        drawn = of_notebook("toy", new_notebook(cells=[short, cell]))
        assert sum("100 cells" in problem for problem in rules.problems(drawn)) == said


def test_sentences_and_numbers():
    parts = [Part("text", 'It is so, e.g. here. "Why?" We ask. See Fig. 3 of it')]
    assert len([*sentences(parts)]) == 4
    assert numbers_in("69.4 against 4.0 %, ResNet-18 and VGG-16") == 1
    assert numbers_in("4.2 ± 0.3 of 300") == 2


def test_the_linter_reads_the_past_and_the_present(capsys):
    assert lint.main(["--chapter", "gallery"]) == 0
    assert "| gallery |" in capsys.readouterr().out
    assert lint.main(["--chapter", "gallery", "--json"]) == 0
    assert '"words"' in capsys.readouterr().out
    assert lint.main(["--chapter", "none"]) == 1
