"""The page of symbols: one letter, one meaning; every letter of a formula is there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYMBOLS = ROOT / "book" / "symbols.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TARGET = "the class that a picture truly has, or that is asked about, where $c$ runs over all"
"""One meaning, though it is said in two parts."""
WORDS = re.compile(r"\\(?:text|mathrm|operatorname|begin|end|textstyle|label)\*?\{[^{}]*\}")
ACCENT = re.compile(r"\\(tilde|bar|hat)\s*\{?\s*(\\mathbf\s*\{?\s*\\?\w+\s*\}?|\\?[a-zA-Z]+)\s*\}?")
BOLD = re.compile(r"\\mathbf\s*\{?\s*(\\?\w+?)\s*(?:\}|(?![a-zA-Z]))")
GREEK = re.compile(
    r"\\(?:var)?(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma"
    r"|tau|phi|chi|psi|omega|Delta|Phi|Omega|ell)(?![a-zA-Z])"
)


def letters(formula: str) -> set[str]:
    """Return the symbols of a formula without their indices: the indices are symbols as well."""
    formula = WORDS.sub(" ", formula.replace("\\boldsymbol", "\\mathbf"))
    found: set[str] = set()

    def take(pattern: re.Pattern[str], name: str) -> None:
        nonlocal formula
        for match in pattern.finditer(formula):
            inner = re.sub(r"\\mathbf|[\s{}]", "", match[match.lastindex or 1])
            bold = "\\mathbf " if "mathbf" in match[match.lastindex or 1] else ""
            accent = f"\\{match[1]} " if name == "accent" else "\\mathbf "
            found.add(f"{accent}{bold}{inner}")
        formula = pattern.sub(" ", formula)

    take(ACCENT, "accent")
    take(BOLD, "bold")
    found |= set(GREEK.findall(formula))
    formula = re.sub(r"\\[a-zA-Z]+\s*\{?[RE]?\}?|\\.", lambda m: _kept(m[0]), formula)
    return found | set(re.findall(r"[a-zA-Z]", formula))


def _kept(command: str) -> str:
    """Drop a command, and the blackboard letter after it, but not a brace that opens a group."""
    return " " if "mathbb" in command else re.sub(r"\\[a-zA-Z]+|\\.", " ", command)


def formulas(text: str) -> list[str]:
    """Return the displayed formulas of a text, and those inside its lines."""
    text = re.sub(r"`[^`]*`", " ", text)
    displayed = re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
    rest = re.sub(r"\$\$.+?\$\$", " ", text, flags=re.DOTALL)
    return displayed + re.findall(r"(?<!\\)\$([^$\n]+?)\$", rest)


def listed() -> list[str]:
    """Return the symbols of the page, as they are written there."""
    text = SYMBOLS.read_text(encoding="utf-8")
    return re.findall(r"^\| \$(.+?)\$ \|", text, re.MULTILINE)


def known() -> set[str]:
    """Return the letters of the symbols of the page, without their indices.

    A plain letter is a number of the bold one: $m_j$ of $\\mathbf m$.
    """
    found = {letter for symbol in listed() for letter in letters(re.sub(r"[_^].*", "", symbol))}
    return found | {letter.replace("\\mathbf ", "") for letter in found}


def test_letters_are_read_from_a_formula():
    formula = r"\tilde{\mathbf g}_i = \frac{\partial y_c}{\partial \mathbf{x}} + \lambda \bar d"
    wanted = {"\\tilde \\mathbf g", "i", "y", "c", "\\mathbf x", "\\lambda", "\\bar d"}
    assert letters(formula) == wanted
    braced = r"\underbrace{\mathbb 1[u > 0]}_{\text{the unit was on}} \operatorname{norm}(S)"
    assert letters(braced) == {"u", "S"}


def test_a_symbol_has_one_meaning():
    symbols = listed()
    assert len(symbols) > 40
    assert sorted(set(symbols)) == sorted(symbols)
    meanings = re.findall(r"^\| \$.+?\$ \| (.+?) \|", SYMBOLS.read_text("utf-8"), re.MULTILINE)
    assert [meaning for meaning in meanings if ", or " in meaning] == [TARGET]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_symbols_of_a_chapter_are_on_the_page(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    missing = {letter for formula in formulas(text) for letter in letters(formula)} - known()
    assert missing == set()
