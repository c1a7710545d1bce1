"""Lead from each method of the reference to what the book found of it: claims, and rows of tables.

``{judged} NAME`` lists the claims in which a method is compared, from their files, and the rows of
the chapters' tables that carry its name, from the built pages. Nothing is typed in.
"""

import re
from collections.abc import Iterator
from functools import cache
from html import escape, unescape

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from xaibook import claims
from xaibook.style import LABELS
from xaibook.verdicts import VERDICTS

CHAPTERS, CLAIMS, BOARD = "book/chapters/", "book/chapters/claims", "board"
BY_LABEL = {label: name for name, label in LABELS.items()}
TABLE = re.compile(r'<div class="xc-table[^"]*" id="([^"]+)">')
ROW = re.compile(r'<tr>(<th scope="row".*?)</tr>', re.DOTALL)
CELL = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.DOTALL)
LEADING = 3
"""In how many columns, from the left, a row may be named."""


class judged_method(nodes.General, nodes.Element):  # noqa: N801 (docutils finds its visitor so)
    """Where the links of a method will stand."""


class Judged(Directive):
    """The claims and rows of one method."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the place, which is filled when all pages are read."""
        (name,) = self.arguments
        if name not in LABELS:
            raise self.error(f"no method is called {name}")
        return [judged_method(method=name)]


def named(row: str) -> list[str]:
    """Return the methods that a row of a table is about."""
    texts = (unescape(re.sub(r"<[^>]+>", "", c)).strip() for c in CELL.findall(row)[:LEADING])
    return [BY_LABEL[text] for text in texts if text in BY_LABEL]


def anchor(table: str, method: str) -> str:
    """Return the anchor of a method's row in a table."""
    return f"{table}-{method.replace('++', '-plus-plus')}"


def anchored(html: str) -> tuple[str, dict[str, str]]:
    """Return a table in which the first row of each method has an anchor, and these by method."""
    found = TABLE.search(html)
    anchors: dict[str, str] = {}
    if found is None:
        return html, anchors

    def mark(row: re.Match[str]) -> str:
        for name in named(row[1]):
            if name not in anchors:
                anchors[name] = anchor(found[1], name)
                return f'<tr id="{anchors[name]}">{row[1]}</tr>'
        return row[0]

    return ROW.sub(mark, html), anchors


def tables(doctree: nodes.document) -> Iterator[tuple[str, nodes.raw]]:
    """Yield the tables of a page, and how they are called."""
    for raw in doctree.findall(nodes.raw):
        if raw.get("format") == "html" and (found := TABLE.search(raw.astext())):
            yield found[1], raw


@cache
def rows(app: Sphinx) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Return the tables with a row of each method, by chapter: their number and the anchor."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = {name: {} for name in LABELS}
    for page in sorted(p for p in app.env.found_docs if p.startswith(CHAPTERS)):
        doctree = app.env.get_doctree(page)
        numbers = app.env.toc_fignumbers.get(page, {}).get("table", {})
        by_table = {
            node["names"][0].removeprefix("tab:"): ".".join(map(str, numbers[node["ids"][0]]))
            for node in doctree.findall(lambda n: n.tagname == "numbered_table")
            if node["ids"][0] in numbers
        }
        for table, raw in tables(doctree):
            for name, place in anchored(raw.astext())[1].items():
                found[name].setdefault(page, []).append((by_table.get(table, ""), place))
    return found


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give the rows of a chapter their anchors, and the methods of a page their links."""
    if docname.startswith(CHAPTERS):
        for _, raw in tables(doctree):
            raw.children = [nodes.Text(anchored(raw.astext())[0])]
    for place in list(doctree.findall(judged_method)):
        html = links(app, docname, place["method"])
        place.replace_self(nodes.raw("", html, format="html"))


def links(app: Sphinx, docname: str, name: str) -> str:
    """Return what the book found of a method, as links from a page."""
    own = [c for c in claims.load()[0] if name in {*c.quantities, c.where.get("method")}]
    lines = [
        f"<li>{escape(verdict)}: {', '.join(_claim(app, docname, c) for c in of)}</li>"
        for verdict in VERDICTS
        if (of := [claim for claim in own if claim.expected == verdict])
    ]
    board, count = "", 0
    for page, found in rows(app)[name].items():
        address = app.builder.get_relative_uri(docname, page)
        linked = [
            _link(f"{address}#{place}", number or "without number") for number, place in found
        ]
        title = escape(app.env.titles[page].astext())
        lines.append(f"<li>Table{'s' * (len(found) > 1)} {', '.join(linked)} ({title})</li>")
        count += len(found)
        if anchor(BOARD, name) in (place for _, place in found):
            board = _link(f"{address}#{anchor(BOARD, name)}", "Its row of the leaderboard")
    said = f"{len(own)} claim{'s' * (len(own) != 1)} of the papers, {count} rows of tables"
    return (
        f'<div class="xc-judged"><p>{board}</p>'
        f"<details><summary>{said}</summary><ul>{''.join(lines)}</ul></details></div>"
    )


def _claim(app: Sphinx, docname: str, claim: claims.Claim) -> str:
    address = app.builder.get_relative_uri(docname, CLAIMS)
    return _link(f"{address}#claim-{claim.id}", claim.short or claim.id.replace("-", " "))


def _link(address: str, text: str) -> str:
    return f'<a href="{escape(address)}">{escape(text)}</a>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive; the numbers of tables are written before."""
    app.add_node(judged_method)
    app.add_directive("judged", Judged)
    app.connect("doctree-resolved", fill, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
