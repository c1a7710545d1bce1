"""Which files of the packages some code uses: the names it takes, followed to where they stand."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

PACKAGES = {"xaicore": "xaicore", "xaibook": "book/xaibook"}
"""The folder of each package in a checkout."""

COMMAND = re.compile(r"-m xaicore\b|\bxaicore (?:explain|evaluate|report|methods|train)\b")
"""How the command line is called in a string, also in a list of words, which are joined first."""

FUNCTION = re.compile(r"\b((?:xaicore|xaibook)(?:\.\w+)*):(\w+)")
"""How a function is named to the command line: ``package.module:function``."""

DRAWING = "xaicore.plot"
"""It asks the methods what they are called and nothing else, which every key has by itself."""

Name = tuple[str, str | None]
"""A module, and what is taken of it: one name, or all."""


@dataclass
class Followed:
    """What has been followed so far.

    A name that a package shows is followed to the module that it is taken from, so the other
    modules of the package are not used. An import under ``if argument is not None:`` is followed
    only where a call names that argument: ``evaluate(…, out=folder)`` uses the folder.

    Attributes:
        root: the checkout.
        files: the files that are used.
        given: each function and an argument that some call names.
        optional: what is used where a function is given an argument.
    """

    root: Path
    files: set[Path] = field(default_factory=set)
    given: set[tuple[str, str]] = field(default_factory=set)
    optional: dict[tuple[str, str], list[Name]] = field(default_factory=dict)
    seen: set[Name] = field(default_factory=set)

    def code(self, cells: Iterable[str]) -> None:
        """Follow the cells of a notebook, which share their names."""
        python = TransformerManager().transform_cell
        self._follow(self._read(ast.parse("\n".join(map(python, cells))), ""))

    def _follow(self, names: Iterable[Name]) -> None:
        pending = list(names)
        while pending:
            name = pending.pop()
            if name not in self.seen:
                self.seen.add(name)
                pending += self._next(*name)
            if not pending:
                pending = [n for given in self.given for n in self.optional.pop(given, [])]

    def _next(self, module: str, name: str | None) -> Iterator[Name]:
        """What using a name of a module uses in turn."""
        file = _file(self.root, module)
        if file is None:
            return
        if file.name == "__init__.py" and name is not None:
            if (source := self._shown(module, name)) is not None:
                yield source
                return
            if _file(self.root, f"{module}.{name}") is not None:
                yield f"{module}.{name}", None
                return
        if file not in self.files:
            self.files.add(file)
            if module == DRAWING:
                return
            package = module if file.name == "__init__.py" else module.rpartition(".")[0]
            yield from self._read(ast.parse(file.read_text(encoding="utf-8")), package)

    def _shown(self, package: str, name: str) -> Name | None:
        """Where a package takes a name from; None if it has it itself, or not at all."""
        file = _file(self.root, package)
        assert file is not None
        stub = file.with_suffix(".pyi")
        tree = ast.parse((stub if stub.is_file() else file).read_text(encoding="utf-8"))
        for node in tree.body:
            if not isinstance(node, ast.ImportFrom):
                continue
            module = _absolute(node, package)
            for alias in node.names:
                if name == (alias.asname or alias.name) and module != package:
                    return module, alias.name
                if alias.name == "*" and self._has(module, name):
                    return module, name
        return None

    def _has(self, module: str, name: str) -> bool:
        """Whether a module shows a name."""
        file = _file(self.root, module)
        if file is None:
            return False
        if file.name == "__init__.py" and self._shown(module, name) is not None:
            return True
        return name in _defined(ast.parse(file.read_text(encoding="utf-8")))

    def _read(self, tree: ast.Module, package: str) -> Iterator[Name]:
        """Yield the names that code takes of the packages, and note the arguments it gives."""
        packages: dict[str, str] = {}
        guarded, for_types = dict(_guarded(tree)), set(_for_types(tree))
        for node in ast.walk(tree):
            if node in for_types:
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                found = list(self._imported(node, package, packages))
                if node in guarded:
                    self.optional.setdefault(guarded[node], []).extend(found)
                else:
                    yield from found
            elif isinstance(node, ast.Call):
                self.given |= {(_last(node.func), k.arg) for k in node.keywords if k.arg}
                yield from self._written(node, package)
        yield from self._taken(tree, packages)
        if not package:
            yield from self._commands(tree)

    def _imported(
        self, node: ast.Import | ast.ImportFrom, package: str, packages: dict[str, str]
    ) -> Iterator[Name]:
        """What an import uses; an imported package is noted, for its names are taken later."""
        for alias in node.names:
            if isinstance(node, ast.Import):
                module, name = alias.name, alias.asname or alias.name.partition(".")[0]
                noted = module if alias.asname else name
            else:
                base = _absolute(node, package)
                module, name = f"{base}.{alias.name}", alias.asname or alias.name
                noted = module
            if self._is_package(noted):
                packages[name] = noted
            if isinstance(node, ast.ImportFrom) and not self._is_package(module):
                yield base, None if alias.name == "*" else alias.name
            elif module != noted or not self._is_package(noted):
                yield module, None

    def _commands(self, tree: ast.Module) -> Iterator[Name]:
        """What the cells of a notebook call by its name: a function, or a command and its file."""
        texts = list(filter(None, map(_text, ast.walk(tree))))
        for text in texts:
            yield from FUNCTION.findall(text)
        if any(map(COMMAND.search, texts)):
            yield "xaicore.__main__", None
            words = {word for text in texts for word in text.split()}
            for file in sorted((self.root / "xaicore" / "cli").glob("*.py")):
                if file.stem.partition("_")[0] in words:
                    yield f"xaicore.cli.{file.stem}", None

    def _taken(self, tree: ast.Module, packages: dict[str, str]) -> Iterator[Name]:
        """The names that are taken of imported packages: ``xc.metrics.auc``."""
        nodes = list(ast.walk(tree))
        chains = [node for node in nodes if isinstance(node, ast.Attribute)]
        inner = {id(node.value) for node in chains}
        for chain in chains:
            first, *rest = _chain(chain)
            if id(chain) not in inner and isinstance(first, ast.Name) and first.id in packages:
                yield self._place(packages[first.id], rest)
        for node in nodes:
            if isinstance(node, ast.Name) and node.id in packages and id(node) not in inner:
                yield packages[node.id], None

    def _place(self, module: str, names: list[str]) -> Name:
        """The module and the name that a chain of attributes of a package reaches."""
        for name in names:
            source = self._shown(module, name)
            inner = f"{source[0]}.{source[1]}" if source else f"{module}.{name}"
            if not self._is_package(inner):
                return module, name
            module = inner
        return module, None

    def _is_package(self, module: str) -> bool:
        file = _file(self.root, module)
        return file is not None and file.name == "__init__.py"

    def _written(self, call: ast.Call, package: str) -> Iterator[Name]:
        """What the code uses that a cell writes into a file, by ``%%writefile name.py``."""
        texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
        magic = _last(call.func) == "run_cell_magic" and texts[0] == "writefile"
        if magic and str(texts[1]).endswith(".py"):
            yield from self._read(ast.parse(str(texts[2])), package)


def used(root: Path, cells: Iterable[str]) -> set[Path]:
    """Return the files of the packages that the cells of a notebook use, directly or not."""
    followed = Followed(root)
    followed.code(cells)
    return followed.files


def _file(root: Path, module: str) -> Path | None:
    package, *rest = module.split(".")
    if package not in PACKAGES:
        return None
    path = root.joinpath(PACKAGES[package], *rest)
    candidates = (path / "__init__.py", path.with_suffix(".py") if rest else None)
    return next((file for file in candidates if file and file.is_file()), None)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that an import names, which may be relative to a package."""
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def _defined(tree: ast.Module) -> set[str]:
    """The names that a module gives a value to."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _text(node: ast.AST) -> str:
    """The words of a string, or of a list that has some; else nothing."""
    if isinstance(node, ast.List | ast.Tuple):
        return " ".join(filter(None, map(_text, node.elts)))
    text = node.value if isinstance(node, ast.Constant) else ""
    return text if isinstance(text, str) else ""


def _for_types(tree: ast.Module) -> Iterator[ast.AST]:
    """What stands under ``if TYPE_CHECKING:`` and never runs."""
    for node in tree.body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            yield from node.body


def _guarded(tree: ast.Module) -> Iterator[tuple[ast.AST, tuple[str, str]]]:
    """Each import under ``if argument is not None:``, with the function and the argument."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for test in ast.walk(function):
                if isinstance(test, ast.If) and (argument := _is_given(test.test)):
                    inner = [node for part in test.body for node in ast.walk(part)]
                    imports = [n for n in inner if isinstance(n, ast.Import | ast.ImportFrom)]
                    yield from ((node, (function.name, argument)) for node in imports)


def _is_given(test: ast.expr) -> str:
    """The argument of a test ``argument is not None``; else nothing."""
    match test:
        case ast.Compare(ast.Name(name), [ast.IsNot()], [ast.Constant(None)]):
            return name
    return ""


def _last(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _chain(node: ast.Attribute) -> tuple[ast.expr, *tuple[str, ...]]:
    """What a chain of attributes begins with, and their names."""
    names: list[str] = []
    place: ast.expr = node
    while isinstance(place, ast.Attribute):
        names.insert(0, place.attr)
        place = place.value
    return (place, *names)
