"""Set the figures of chapters into their pages, in the page's ink."""

from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

from xaibook.vector import inline

OUTPUTS = "jupyter_execute"
"""The folder in which the outputs of cells lie."""


PICTURES = {".png", ".jpeg"}


def set_figures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace SVG by the drawing itself, and frame pixels, in the outputs of cells."""
    if app.builder.format != "html":
        return
    for place, image in enumerate(list(doctree.findall(nodes.image))):
        path = Path(app.srcdir, image["uri"])
        if OUTPUTS not in path.parts:
            continue
        if path.suffix == ".svg":
            drawn = inline(path.read_text(encoding="utf-8"), image.get("alt", ""), f"f{place}")
            image.replace_self(_html(drawn))
        elif path.suffix in PICTURES:
            start = f'<div class="xc-scrolled" style="--legible: {_points(path)}px">'
            image.replace_self([_html(start), image.deepcopy(), _html("</div>")])


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _points(path: Path) -> int:
    """Return the width of a figure in points: so wide on a page, type of 9 points has 9 pixels."""
    with Image.open(path) as image:
        dots = image.info.get("dpi")  # what is no figure does not say
        return round(72 * image.width / dots[0]) if dots else 0


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-resolved", set_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
