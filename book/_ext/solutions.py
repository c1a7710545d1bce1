"""A folded cell tagged ``solution`` says what it holds."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

SHOW, HIDE = "Show the solution", "Hide the solution"


class NameSolutions(SphinxTransform):
    """Give the fold of a solution its own words, in place of those of any code."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Change the prompts of the cells tagged ``solution``."""
        for cell in self.document.findall(nodes.container):
            if "tag_solution" in cell.get("classes", []):
                cell["prompt_show"], cell["prompt_hide"] = SHOW, HIDE


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_transform(NameSolutions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
