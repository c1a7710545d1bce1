"""Give each table of a chapter a number, by which the text refers to it.

A table that ``xaicore.html.table`` made under the name ``x`` is ``{numref}`tab:x```; the number
stands before its caption. Nothing has to be said in the notebook.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

TABLE = re.compile(r'<div class="xc-table(?![^"]*xc-(?:claims|folds))[^"]*" id="([^"]+)">')
CAPTION = re.compile(r"<caption>(.*?)</caption>", re.DOTALL)


class numbered_table(nodes.General, nodes.Element):  # noqa: N801 (docutils finds its visitor so)
    """Where a table begins: what a reference leads to."""


class NumberTables(SphinxTransform):
    """Mark the place of each table, before labels are collected."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Put a mark before the output that shows a table."""
        for raw in [*self.document.findall(nodes.raw)]:
            found = TABLE.search(raw.astext()) if raw.get("format") == "html" else None
            if found is None or f"tab:{found[1]}" in self.document.nameids:
                continue
            mark = numbered_table(names=[f"tab:{found[1]}"], title=_title(raw.astext()))
            self.document.note_explicit_target(mark)
            _cell(raw).insert(0, mark)


def _cell(node: nodes.Element) -> nodes.Element:
    """Return the output of a code cell that holds a node."""
    while node.get("nb_element") != "cell_code_output" and node.parent.parent is not None:
        node = node.parent
    return node


def _title(html: str) -> str:
    found = CAPTION.search(html)
    return re.sub(r"<[^>]+>", "", found[1]) if found else ""


def write_numbers(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the number of each table before its caption."""
    numbers = app.env.toc_fignumbers.get(docname, {}).get("table", {})
    said = app.config.numfig_format["table"]
    raws = [raw for raw in doctree.findall(nodes.raw) if raw.get("format") == "html"]
    for mark in doctree.findall(numbered_table):
        number = ".".join(map(str, numbers.get(mark["ids"][0], ())))
        name = mark["names"][0].removeprefix("tab:")
        for raw in raws:
            if f'id="{name}"' in raw.astext():
                head = f'<caption><span class="caption-number">{said % number} </span>'
                raw.children = [nodes.Text(raw.astext().replace("<caption>", head, 1))]


def _visit(translator: Any, node: numbered_table) -> None:
    translator.body.append(f'<span id="{node["ids"][0]}"></span>')


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_enumerable_node(
        numbered_table,
        "table",
        lambda node: node["title"],
        html=(_visit, lambda translator, node: None),
    )
    app.add_transform(NumberTables)
    app.connect("doctree-resolved", write_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
