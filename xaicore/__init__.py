"""xaicore: interpreting image classifiers, the package of an executable thesis.

>>> import torch, xaicore as xc
>>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
...                           torch.nn.Linear(4 * 36, 5)).eval()
>>> model = xc.Classifier(net, layer=net[1])
>>> images, targets = torch.rand(2, 3, 8, 8), torch.tensor([0, 4])
>>> maps = xc.OptiCAM(model, iterations=2)(images, targets)
>>> p, o = xc.confidence(model, images, maps, targets)
>>> tuple(maps.shape), tuple(xc.average_gain(p, o).shape)
((2, 1, 8, 8), (2,))

The public names are those of ``__init__.pyi``; each is loaded when it is first used.
"""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

__version__ = "0.1.0"


def _places() -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the module and the name behind each public name, and the rooms whose names all are."""
    named, whole = {}, []
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.names[0].name == "*":
                whole.append(node.module)
            else:
                named |= {a.asname or a.name: (node.module, a.name) for a in node.names}
    return named, whole


_NAMED, _WHOLE = _places()


def _of_room(room: str) -> dict[str, object]:
    """Return what a room shows."""
    shown = vars(import_module(room)).items()
    return {k: v for k, v in shown if k[0] != "_" and not isinstance(v, ModuleType)}


def __getattr__(name: str) -> object:
    if name in _NAMED:
        module, real = _NAMED[name]
        value = import_module(f"{module}.{real}") if module == __name__ else None
        value = value or getattr(import_module(module), real)
    else:
        found = {} if name[0] == "_" else {k: v for r in _WHOLE for k, v in _of_room(r).items()}
        if name not in found:
            raise AttributeError(f"module 'xaicore' has no attribute '{name}'")
        value = found[name]
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*_NAMED, *(name for room in _WHOLE for name in _of_room(room)), "__version__"})
