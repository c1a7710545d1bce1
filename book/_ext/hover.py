"""Words of the glossary say what they mean where they stand first in a chapter.

The first time that a chapter uses such a word in its prose, the word becomes a link to the glossary
with the definition as its title, which ``hover.js`` shows to pointer and keyboard. So does every
``{term}``. Words that the book also uses in another sense are linked by ``{term}`` alone.
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx

GLOSSARY, CHAPTERS = "book/glossary", "book/chapters/"
AMBIGUOUS = {"head", "points", "record", "profile", "control", "interval", "paired", "query"}
AMBIGUOUS |= {
    "mask",
    "flowers",
    "seed",
    "gradient",
    "transparency",
    "interpretation",
    "explanation",
}
NOT_IN = (nodes.reference, nodes.literal, nodes.title, nodes.raw, nodes.caption, nodes.math)


def definitions(app: Sphinx) -> dict[str, tuple[str, str]]:
    """Return the anchor and the definition of each word of the glossary."""
    found = {}
    for item in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        meaning = " ".join(d.astext() for d in item.findall(nodes.definition))
        for term in item.findall(nodes.term):
            found[term.astext()] = (term["ids"][0], " ".join(meaning.split()))
    return found


def explain(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Give links to the glossary their definition, and link each word once in a chapter."""
    if GLOSSARY not in app.env.found_docs or docname == GLOSSARY:
        return
    known = definitions(app)
    by_anchor = {anchor: meaning for anchor, meaning in known.values()}
    for link in doctree.findall(nodes.reference):
        _, _, anchor = link.get("refuri", "").partition(f"{GLOSSARY.rpartition('/')[2]}.html#")
        if anchor in by_anchor:
            link["reftitle"] = by_anchor[anchor]
            link["classes"].append("xc-term")
    if docname.startswith(CHAPTERS):
        address = app.builder.get_relative_uri(docname, GLOSSARY)
        for word in known.keys() - AMBIGUOUS:
            anchor, meaning = known[word]
            link = nodes.reference("", "", internal=True, refuri=f"{address}#{anchor}")
            link["reftitle"] = meaning
            link["classes"] = ["xc-term"]
            _link_first(doctree, word, link)


def _link_first(doctree: nodes.document, word: str, link: nodes.reference) -> None:
    """Make a link of the first place where the prose has a word, alone or with an s."""
    whole = re.compile(rf"(?<![\w-]){re.escape(word)}s?(?![\w-])", re.IGNORECASE)
    for text in _prose(doctree):
        found = whole.search(text)
        if found:
            link += nodes.Text(found[0])
            parts = [nodes.Text(text[: found.start()]), link, nodes.Text(text[found.end() :])]
            text.parent.replace(text, [part for part in parts if part.astext()])
            return


def _prose(doctree: nodes.document) -> Iterator[nodes.Text]:
    """Return the texts of paragraphs, outside of links, code, captions and formulas."""
    for paragraph in doctree.findall(nodes.paragraph):
        for text in paragraph.findall(nodes.Text):
            around, inside = text.parent, True
            while around is not None:
                inside = inside and not isinstance(around, NOT_IN)
                around = around.parent
            if inside:
                yield text


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; the numbers of tables and figures are written before."""
    app.connect("doctree-resolved", explain, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
