"""Give the playground its scripts and its data, and no other page any of it."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from xaibook.playground import write

PAGE = "book/playground"
FOLDER = "playground"
SCRIPTS = (
    "data",
    "engine",
    "net",
    "explain",
    "session",
    "share",
    "draw",
    "stage",
    "layout",
    "readout",
    "run",
    "page",
)
"""In the order in which one needs another."""


def add_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Add the scripts and the style to the page of the playground alone."""
    if pagename != PAGE:
        return
    app.add_css_file(f"{FOLDER}/playground.css")
    for place, name in enumerate(SCRIPTS):
        app.add_js_file(f"{FOLDER}/{name}.js", loading_method="defer", priority=600 + place)


def write_data(app: Sphinx) -> None:
    """Write networks, pictures, colours and kernel where the scripts will be."""
    if app.builder.format == "html" and Path(app.srcdir, f"{PAGE}.md").is_file():
        write(Path(app.outdir, "_static", FOLDER))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", add_scripts)
    app.connect("builder-inited", write_data)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
