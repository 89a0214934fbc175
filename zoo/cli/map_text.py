"""Positions and masks in letters, as much as fits the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zoo.amounts import aligned
from zoo.drawing.numbers import short

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zoo.analysis.masks import SeenMap
    from zoo.analysis.positions import PositionNumbers

_BARS = "▁▂▃▄▅▆▇█"
_SEEN, _HIDDEN = "■", "·"
_COLUMNS = 100
_MOST_ROWS = 32


def position_text(found: PositionNumbers) -> str:
    """What a position does: heat maps of bars, and a table of biases by distance."""
    from zoo.analysis.maps import ADDED, BIASED, MULTIPLIED, NOTHING, READ, TURNED, heading

    lines = [heading(found)]
    if found.added is not None:
        of = ", of random embeddings, which it is read from" if found.adds_by_input else ""
        lines += ["", f"{ADDED}{of}: a row a position, a column a dimension", *_bars(found.added)]
    if found.angles is not None:
        import numpy as np

        what = "a row a position, a column a pair of features of a head"
        lines += ["", f"{TURNED}: {what}", *_bars(np.cos(found.angles))]
        speeds = (
            [abs(each) for each in (found.angles[1] - found.angles[0]).tolist()] if found.length > 1 else []
        )
        if speeds:
            lines.append(f"radians a token: {max(speeds):.3g} of the first pair to {min(speeds):.3g}")
    if found.factors is not None:
        lines += ["", f"{MULTIPLIED}: a row a position", *_bars(found.factors)]
    if found.vectors is not None:
        lines += [
            "",
            f"{READ}: a row a distance, a column a dimension",
            *_bars(found.vectors, 1 - found.length),
        ]
    if found.bias is not None:
        lines += ["", f"{BIASED} (key minus query), a column a head", *_biases(found)]
    return "\n".join(lines if len(lines) > 1 else [*lines, NOTHING])


def _bars(matrix: NDArray[np.float64], first: int = 0) -> Iterator[str]:
    """Rows and columns at equal steps, with a bar for each number and a line that says what bars mean."""
    n_rows, n_columns = matrix.shape
    rows = range(0, n_rows, -(-n_rows // _MOST_ROWS))
    room = shutil.get_terminal_size((_COLUMNS, 0)).columns - 8
    columns = range(0, n_columns, -(-n_columns // max(room, 8)) or 1)
    low, high = float(matrix.min(initial=0.0)), float(matrix.max(initial=0.0))
    step = (high - low) / len(_BARS) or 1.0
    for i in rows:
        bars = "".join(_BARS[min(int((matrix[i, j] - low) / step), len(_BARS) - 1)] for j in columns)
        yield f"{i + first:>6,}  {bars}"
    skipped = " and ".join(
        f"one {name} in {each.step:,}" for name, each in (("row", rows), ("column", columns)) if each.step > 1
    )
    yield f"{_BARS[0]} {short(low)}  {_BARS[-1]} {short(high)}{f'; {skipped}' if skipped else ''}"


def _biases(found: PositionNumbers) -> Iterator[str]:
    bias, distances = found.bias_by_distance(), found.distances
    last = found.length - 1
    far = sorted({0, last, *(2**i for i in range(last.bit_length()))})
    told = sorted({sign * k for sign in (-1, 1) for k in far} & set(distances))
    n_shown = max(1, (shutil.get_terminal_size((_COLUMNS, 0)).columns - 10) // 9)
    rows = [["distance", *(f"{h}" for h in range(len(bias)))][: n_shown + 1]]
    rows += [
        [f"{k:,}", *(f"{row[distances.index(k)]:.3g}" for row in bias.tolist())][: n_shown + 1] for k in told
    ]
    yield from aligned(rows, n_left=0)
    if len(bias) > n_shown:
        yield f"and {len(bias) - n_shown:,} heads more"
    if found.biases_by_query:
        yield "of one random query, the same at every position"


def masks_text(maps: Sequence[SeenMap], title: str) -> str:
    """Each mask as a square of signs."""
    found = [f"{title}; a row a query, a column a key: {_SEEN} seen, {_HIDDEN} hidden"]
    room = max(8, shutil.get_terminal_size((_COLUMNS, 0)).columns - 8)
    for each in maps:
        n_rows, n_columns = each.allowed.shape
        lines = ["", each.title]
        for i in range(min(n_rows, room)):
            signs = "".join(_SEEN if seen else _HIDDEN for seen in each.allowed[i, :room].tolist())
            lines.append(f"{i:>6,}  {signs}")
        if max(n_rows, n_columns) > room:
            lines.append(f"the first {room:,}; all by -o FILE.svg")
        found += [*lines, each.told]
    return "\n".join(found)
