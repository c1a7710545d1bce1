"""The figures of cells are set into their pages: SVG itself, and pixels in a frame that scrolls."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from matplotlib.figure import Figure

from _ext import figures
from xaibook.vector import svg
from xaicore.html import png


@pytest.fixture
def page(tmp_path):
    """Return a document with a figure of each kind from a cell, and one of the book."""
    folder = tmp_path / figures.OUTPUTS
    folder.mkdir()
    figure = Figure(figsize=(4, 2))
    figure.subplots().set_title("A title")
    (folder / "lines.svg").write_text(svg(figure), encoding="utf-8")
    (folder / "pixels.png").write_bytes(png(figure))
    document = new_document("page")
    for uri in (f"{figures.OUTPUTS}/lines.svg", f"{figures.OUTPUTS}/pixels.png", "logo.svg"):
        document += nodes.image(uri=uri, alt="Seen")
    app = SimpleNamespace(builder=SimpleNamespace(format="html"), srcdir=tmp_path)
    figures.set_figures(app, document, "page")
    return document


def test_svg_is_part_of_the_page_and_pixels_are_framed(page):
    lines, start, pixels, end, logo = page.children
    assert "A title" in lines.astext()
    assert 'aria-label="Seen"' in lines.astext()
    assert start.astext().startswith('<div class="xc-scrolled" style="--legible: ')
    assert end.astext() == "</div>"
    assert pixels["uri"].endswith("pixels.png")
    assert logo["uri"] == "logo.svg"
