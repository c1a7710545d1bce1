"""The matrix product of the playground in WebAssembly, written byte by byte.

So a build needs no compiler, and the repository holds no binary. The product is
:math:`C = A B` in double precision, with :math:`A` in panels of four rows, ``[rows / 4][K][4]``,
:math:`B` in panels of four columns, ``[N / 4][K][4]``, and :math:`C` by rows. A tile of 4 x 4 sums
stays in eight registers of two numbers while ``k`` runs, so every sum adds its products in the
order of ``k``, as the script does that stands in where WebAssembly is not allowed.
"""

from __future__ import annotations

from collections.abc import Iterable

Code = list[int]

I32, V128, FUNCTION, NOTHING = 0x7F, 0x7B, 0x60, 0x40
LOOP, END, AGAIN_IF = 0x03, 0x0B, 0x0D
GET, SET, CONST, LESS, ADD, MULTIPLY = 0x20, 0x21, 0x41, 0x49, 0x6A, 0x6C
SIMD = 0xFD
LOAD, LOAD_TWICE, STORE, ZERO = [0], [10], [11], [12]
ADD_PAIRS, MULTIPLY_PAIRS = [0xF0, 1], [0xF2, 1]
ALIGNED = 3  # to eight bytes

BYTES = 8
TILE = 4

A, B, C, ROWS, K, N = range(6)
"""The parameters: addresses of the matrices, and their sizes."""

a, b, c, row, column, end, both, low, high = range(6, 15)
SUMS = range(15, 23)
"""The local variables: six numbers, then registers of two."""


def module() -> bytes:
    """Return the module: it imports ``e.m``, the memory, and exports ``multiply``.

    ``multiply(A, B, C, rows, K, N)`` takes addresses in bytes; ``rows`` and ``N`` are counted in
    fours, so ``C`` has room for the next multiple of four.
    """
    code = _function()
    parts = [
        _section(1, _vector([[FUNCTION, *_vector([[I32]] * 6), 0]])),
        _section(2, _vector([[*_name("e"), *_name("m"), 2, 0, 1]])),
        _section(3, _vector([[0]])),
        _section(7, _vector([[*_name("multiply"), 0, 0]])),
        _section(10, _vector([[*_number(len(code)), *code]])),
    ]
    return b"\0asm\1\0\0\0" + bytes(byte for part in parts for byte in part)


def _function() -> Code:
    locals_ = _vector([[6, I32], [11, V128]])
    return [*locals_, *_loop(_panel_of_rows(), row, ROWS), END]


def _panel_of_rows() -> Code:
    """Go through all columns, then to the next four rows of A and of C."""
    return [
        *_copy(B, b),
        *_copy(C, c),
        *_constant(0),
        *_set(column),
        *_loop(_tile(), column, N),
        *_copy(a, A),
        *_advance(C, _times(N, TILE * BYTES)),
    ]


def _tile() -> Code:
    """Compute 4 x 4 numbers of C: the sums over k, then their four rows."""
    return [
        *(byte for total in SUMS for byte in [*_simd(ZERO), *[0] * 16, *_set(total)]),
        *_copy(A, a),
        *_get(A),
        *_times(K, TILE * BYTES),
        ADD,
        *_set(end),
        *_accumulate(),
        *_store(),
        *_advance(c, _constant(TILE * BYTES)),
    ]


def _accumulate() -> Code:
    """Add the products of one k to the sums, until the panel of A ends; b goes on as a does."""
    inner = [*_load(b, 0), *_set(low), *_load(b, 2), *_set(high)]
    for r in range(TILE):
        inner += [*_get(a), *_simd(LOAD_TWICE, r * BYTES), *_set(both)]
        for half, total in ((low, SUMS[2 * r]), (high, SUMS[2 * r + 1])):
            product = [*_get(both), *_get(half), *_simd(MULTIPLY_PAIRS)]
            inner += [*_get(total), *product, *_simd(ADD_PAIRS), *_set(total)]
    step = _constant(TILE * BYTES)
    inner += [*_advance(b, step), *_advance(a, step)]
    return [LOOP, NOTHING, *inner, *_get(a), *_get(end), LESS, AGAIN_IF, 0, END]


def _store() -> Code:
    """Write the sums to four rows of C."""
    code = _copy(c, end)
    for r in range(TILE):
        for half in (0, 1):
            code += [*_get(end), *_get(SUMS[2 * r + half]), *_simd(STORE, 2 * half * BYTES)]
        code += _advance(end, _times(N, BYTES))
    return code


def _loop(body: Code, counter: int, limit: int) -> Code:
    """Repeat a body, with a counter that goes in fours, until it reaches a limit."""
    count = _advance(counter, _constant(TILE))
    return [LOOP, NOTHING, *body, *count, *_get(counter), *_get(limit), LESS, AGAIN_IF, 0, END]


def _get(variable: int) -> Code:
    return [GET, variable]


def _set(variable: int) -> Code:
    return [SET, variable]


def _copy(source: int, target: int) -> Code:
    return [*_get(source), *_set(target)]


def _constant(value: int) -> Code:
    assert value < 64, "a larger one takes two bytes, for the format's constants are signed"
    return [CONST, value]


def _times(variable: int, factor: int) -> Code:
    return [*_get(variable), *_constant(factor), MULTIPLY]


def _advance(variable: int, by: Code) -> Code:
    return [*_get(variable), *by, ADD, *_set(variable)]


def _load(address: int, place: int) -> Code:
    return [*_get(address), *_simd(LOAD, place * BYTES)]


def _simd(operation: Code, offset: int | None = None) -> Code:
    place = [] if offset is None else [ALIGNED, *_number(offset)]
    return [SIMD, *operation, *place]


def _number(value: int) -> Code:
    """An unsigned number in groups of seven bits, the lowest first."""
    return [value] if value < 128 else [value % 128 | 128, *_number(value // 128)]


def _vector(items: Iterable[Code]) -> Code:
    items = list(items)
    return [*_number(len(items)), *(byte for item in items for byte in item)]


def _section(kind: int, content: Code) -> Code:
    return [kind, *_number(len(content)), *content]


def _name(text: str) -> Code:
    return [len(text), *text.encode()]
