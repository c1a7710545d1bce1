"""Make the pages complete without a network.

MathJax comes from the installed package ``sphinx-mathjax-offline``, of which only the files that a
page can ask for are copied. Thebe, which the theme declares twice and loads from elsewhere, is left
out.
"""

from importlib.util import find_spec
from pathlib import Path
from shutil import copy2, copytree
from typing import Any

from sphinx.application import Sphinx

MATHJAX_FILES = (
    "tex-mml-chtml.js",
    "output/chtml/fonts/woff-v2",
    "input/tex/extensions",
    "a11y",
    "ui",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
    "sre/mathmaps/nemeth.json",
)


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Copy the needed part of MathJax into the built pages."""
    if exception or app.builder.format != "html":
        return
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("install sphinx-mathjax-offline: it carries MathJax")
    carried = Path(spec.origin).parent / "static" / "mathjax"
    for name in MATHJAX_FILES:
        target = Path(app.outdir, "_static", "mathjax", name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if (carried / name).is_dir():
            copytree(carried / name, target, dirs_exist_ok=True)
        else:
            copy2(carried / name, target)


def clean_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Leave thebe out of a page and start it in the reader's colour scheme."""
    context["default_mode"] = context.get("default_mode") or "auto"
    for kind in ("script_files", "css_files"):
        kept = {_description(file): file for file in context.get(kind, [])}
        context[kind] = [file for text, file in kept.items() if "thebe" not in text]


def _description(file: Any) -> str:
    return f"{getattr(file, 'filename', file)} {getattr(file, 'attributes', '')}".lower()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.config.mathjax_path = "mathjax/tex-mml-chtml.js"
    app.connect("html-page-context", clean_page, priority=900)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
