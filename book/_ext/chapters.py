"""Tie an executed chapter to its source notebook and say how it was computed.

A page ``book/chapters/x.ipynb`` is the executed copy of ``notebooks/x.ipynb``. Readers open, edit
and download the source; the page ends with the provenance of its numbers.
"""

import json
from html import escape
from pathlib import Path
from shutil import copyfile
from typing import Any

from sphinx.application import Sphinx

PAGES, SOURCES = "book/chapters", "notebooks"
LABELS = {"commit": "commit", "profile": "profile", "seed": "seed", "origin": "outputs"}


def point_to_source(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Send the launch, edit and download buttons of a chapter to its source notebook."""
    page, source = f"{pagename}.ipynb", f"{SOURCES}/{Path(pagename).name}.ipynb"
    if Path(pagename).parent.as_posix() != PAGES or not Path(app.srcdir, source).is_file():
        return
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if "_sources/" in button.get("url", ""):
                button["text"], button["tooltip"] = ".ipynb (executed)", "Download this page"
            elif "url" in button:
                button["url"] = button["url"].replace(page, source)
        if group.get("label") == "download-buttons":
            group["buttons"].insert(0, _download(app, context, source))


def _download(app: Sphinx, context: dict[str, Any], source: str) -> dict[str, str]:
    """Put the source notebook among the built files and return the button that fetches it."""
    target = Path(app.outdir, "_sources", source)
    target.parent.mkdir(parents=True, exist_ok=True)
    copyfile(Path(app.srcdir, source), target)
    return {
        "type": "link",
        "url": context["pathto"](f"_sources/{source}", 1),
        "text": ".ipynb (source)",
        "icon": "fas fa-code",
        "tooltip": "Download the source notebook",
        "label": "download-source-notebook-button",
    }


def append_provenance(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """End a chapter with how it was computed, as the driver recorded it."""
    page = Path(app.srcdir, f"{pagename}.ipynb")
    if not page.is_file() or "body" not in context:
        return
    run = json.loads(page.read_text(encoding="utf-8"))["metadata"].get("xaicore", {})
    facts = {label: run[name] for name, label in LABELS.items() if name in run}
    facts |= run.get("versions", {})
    if "seconds" in run:
        facts["ran for"] = f"{run['seconds']:.0f} s"
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(str(fact))}</dd></div>"
        for name, fact in facts.items()
    )
    if items:
        context["body"] += (
            '<aside class="provenance" aria-label="How this page was computed">'
            f"<p>How this page was computed</p><dl>{items}</dl></aside>"
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension; the theme makes its buttons at priority 501."""
    app.connect("html-page-context", append_provenance)
    app.connect("html-page-context", point_to_source, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
