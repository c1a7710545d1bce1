"""Citations by author, name and year: the name tells papers of the same people apart.

An entry of ``references.bib`` has its name in the field ``nickname``; most need none.
"""

from dataclasses import dataclass
from typing import Any

from pybtex.style.template import field, first_of, join, optional
from sphinx.application import Sphinx
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle
from sphinxcontrib.bibtex.style.referencing.basic_author_year import (
    BasicAuthorYearParentheticalReferenceStyle,
    BasicAuthorYearTextualReferenceStyle,
)
from sphinxcontrib.bibtex.style.template import join2, post_text, pre_text, reference, year

dated = first_of[optional[join(sep=", ")[field("nickname"), year]], year]
"""The name of the paper, if it has one, and the year."""


class Parenthetical(BasicAuthorYearParentheticalReferenceStyle):
    """``[Torres et al., CA-Stream, 2024]``."""

    def inner(self, role_name: str) -> Any:
        """Return the template of one reference."""
        people = self.person.author_or_editor_or_title(full="s" in role_name)
        return join2(sep1=self.pre_text_sep, sep2=self.post_text_sep)[
            pre_text, reference[join(sep=self.author_year_sep)[people, dated]], post_text
        ]


class Textual(BasicAuthorYearTextualReferenceStyle):
    """``Torres et al. [CA-Stream, 2024]``."""

    def inner(self, role_name: str) -> Any:
        """Return the template of one reference."""
        inside = join2(sep1=self.pre_text_sep, sep2=self.post_text_sep)[
            pre_text, reference[dated], post_text
        ]
        return join(sep=self.text_reference_sep)[
            self.person.author_or_editor_or_title(full="s" in role_name),
            join[self.bracket.left, inside, self.bracket.right],
        ]


@dataclass
class NamedAuthorYear(AuthorYearReferenceStyle):
    """Citations in brackets and in the text; what else there is stays."""

    def __post_init__(self) -> None:
        """Put the two styles in the place of those without names."""
        super().__post_init__()
        for style in (Parenthetical(), Textual()):
            self.role_style.update(dict.fromkeys(style.role_names(), style))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the style, by the name that the configuration calls it."""
    register_plugin("sphinxcontrib.bibtex.style.referencing", "named_author_year", NamedAuthorYear)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
