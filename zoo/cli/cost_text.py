"""What specs cost, in tables for reading: within 100 columns where names allow."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from zoo.amounts import aligned
from zoo.analysis.bench import Measured, Spread, doubt, exponent
from zoo.analysis.cost import ModelCost, PartCost
from zoo.cli.text import numbered

WIDTH = 100
_BEYOND = "*: more layers of that form than there are: positions farthest apart never meet"
_COUNTED = (
    "?: says no formula: FLOPs counted on the meta device (none where it does not run there), kept guessed"
)


RULE = """\
operations: of one sequence, forward; a multiplication with its addition is two. Products of matrices and
convolutions only, as torch.utils.flop_counter counts them; training has two more of each product.
T, S tokens; D d_model; H heads, G of keys; K, Kv sizes of a head; F d_ff; V vocabulary; E embedding; r window"""
"""What formulas mean."""


def short(n: float | None, unit: str = "") -> str:
    """A number in three digits with a unit's prefix, as 63.0M or 49.2 kB; ? where it is not known."""
    if n is None:
        return "?"
    space, prefixes = (" ", " kMGTPE") if unit else ("", " KMGTPE")
    sign, n = ("-" if n < 0 else ""), abs(n)
    for prefix in prefixes:
        if n < 999.5 or prefix == "E":
            digits = 0 if n >= 99.95 or (prefix == " " and n == int(n)) else 1
            if n < 9.995 and digits:
                digits = 2
            return f"{sign}{n:.{digits}f}{space}{prefix.strip()}{unit}".rstrip()
        n /= 1000
    raise AssertionError


def parts_text(title: str, cost: ModelCost) -> str:
    """A table of a model's parts, and their sum."""
    rows = [
        ["part", "type", "params", "forward", "train", "kept", "cache", "seq.", "path"],
        *(_part_row(part, cost) for part in cost.parts),
        [
            "in all",
            "",
            short(cost.n_parameters),
            short(cost.forward_per_token),
            short(cost.training_per_token),
            short(cost.activation_bytes, "B"),
            short(cost.cache_bytes_per_token, "B"),
            short(cost.n_sequential),
            path_text(cost),
        ],
    ]
    notes = [
        note
        for mark, note in (("*", _BEYOND), ("?", _COUNTED))
        if any(cell.endswith(mark) for row in rows for cell in row)
    ]
    if cost.longest is not None and cost.length > cost.longest:
        notes.append(f"its positions end at {cost.longest:,}: what it would cost, could it be longer")
    legend = "FLOPs a token; bytes that training keeps; KV cache a token; sequential operations; path length"
    return "\n".join([f"{title}: {sizes_text(cost)}", legend, *aligned(rows, n_left=2), *notes])


def sizes_text(cost: ModelCost) -> str:
    """On what it was worked out."""
    memory = "" if cost.memory_length == cost.length else f" from {cost.memory_length:,}"
    return f"length {cost.length:,}{memory}, batch {cost.rows:,}"


def _part_row(part: PartCost, cost: ModelCost) -> list[str]:
    times = "" if part.n_times == 1 else f" ×{part.n_times}"
    known = "" if part.is_known else " ?"
    path = "" if part.mixing is None else _path(part.mixing.path, part.mixing.path is not None)
    if (
        part.mixing is not None
        and not cost.meets
        and part.mixing.n_layers
        and part.mixing.n_layers > part.n_times
    ):
        path += "*"
    return [
        part.path.removeprefix("model."),
        f"{part.type}{times}{known}",
        short(part.n_parameters) if part.n_parameters else "",
        short(part.forward / cost.n_tokens) if part.forward else "",
        short(part.training / cost.n_tokens) if part.training else "",
        short(part.activation_bytes, "B") if part.activation_bytes else "",
        short(part.cache_bytes_per_token, "B") if part.cache_bytes_per_token else "",
        short(part.n_sequential) if part.n_sequential else "",
        path,
    ]


def path_text(cost: ModelCost) -> str:
    """The longest path, with a star where the layers do not suffice for it."""
    if cost.meets is None:
        return "?"
    return _path(cost.path, cost.path is not None) + ("" if cost.meets or cost.path is None else "*")


def _path(path: int | None, is_one: bool) -> str:
    return f"{path:,}" if is_one else "none"


TOTALS: tuple[tuple[str, Callable[[ModelCost], str]], ...] = (
    ("parameters", lambda cost: f"{cost.n_parameters:,}"),
    ("FLOPs a token, forward", lambda cost: short(cost.forward_per_token)),
    ("FLOPs a token, training", lambda cost: short(cost.training_per_token)),
    ("activations of a training step", lambda cost: short(cost.activation_bytes, "B")),
    ("KV cache of a token", lambda cost: short(cost.cache_bytes_per_token, "B")),
    ("KV cache of the batch", lambda cost: short(cost.cache_bytes, "B")),
    ("sequential operations", lambda cost: short(cost.n_sequential)),
    ("maximum path length", path_text),
)


def totals_text(costs: Sequence[tuple[str, ModelCost]]) -> str:
    """The sums of several models, or of one at several lengths, side by side."""
    shown = numbered(title for title, _ in costs)
    lines = [f"{mark} {name}" for name, mark in shown.items() if mark != name]
    each = max(16, *(len(mark) + 2 for mark in shown.values()))
    n_columns = max(1, (WIDTH - 32) // each)
    blocks = [costs[i : i + n_columns] for i in range(0, len(costs), n_columns)]
    for block in blocks:
        rows = [["", *(shown[title] for title, _ in block)]]
        rows.append(["length", *(f"{cost.length:,}" for _, cost in block)])
        rows += [[name, *(tell(cost) for _, cost in block)] for name, tell in TOTALS]
        lines += ([""] if lines else []) + aligned(rows, n_left=1)
    return "\n".join(lines)


def formulas_text(cost: ModelCost) -> str:
    """Each form of part once: its formula, how it grows, and where both come from."""
    lines: list[str] = []
    seen: set[tuple[str, str, str]] = set()
    for part in cost.parts:
        form = (part.kind, part.type, part.formula)
        if form in seen or not (part.formula or part.mixing):
            continue
        seen.add(form)
        lines.append(f"\n{part.path.removeprefix('model.')}  {part.kind}/{part.type}")
        lines += _wrapped("operations", part.formula)
        if part.mixing is not None:
            order = part.mixing.order
            grows = f"{order.complexity} a layer, {order.sequential} after each other, path {order.path}"
            lines += _wrapped("grow as", f"{grows} ({order.source})")
        lines += _wrapped("source", part.source)
    return "\n".join(lines)


def _wrapped(name: str, text: str) -> list[str]:
    indent = " " * 14
    return (
        textwrap.wrap(text, WIDTH, initial_indent=f"  {name:<12}", subsequent_indent=indent) if text else []
    )


def table_1_text(rows: Sequence[dict[str, Any]]) -> str:
    """Table 1 of the paper, the numbers of each layer at a length beside its orders of growth."""
    cells = [["", "length", "complexity", "FLOPs", "sequential", "", "path length", ""]]
    cells += [
        [
            row["layer"],
            f"{row['length']:,}",
            f"O({row['complexity']})",
            short(row["flops"]),
            f"O({row['sequential']})",
            f"{row['n_sequential']:,}",
            f"O({row['path']})",
            f"{row['path_length']:,}",
        ]
        for row in rows
    ]
    notes = [
        "FLOPs are the whole layer's, with the linear maps of each position alone that the paper leaves out.",
        "d 512; 8 heads; k 3; r 65; the recurrence in both directions. Dilated convolutions, which the paper",
        "gives O(log n), are not among ours: contiguous ones take O(n/k), by its section 4.",
    ]
    return "\n".join([*aligned(cells, n_left=1), *notes])


def bench_text(measured: Sequence[Measured], *, n_turns: int) -> str:
    """Medians of what was measured in so many turns, each with the least and the most, and how the time grows with the
    length."""
    rows = [["", "length", "training tok/s", "", "FLOP/s", "decoding tok/s", "", "memory"]]
    for each in measured:
        rows.append(
            [
                each.title,
                f"{each.length:,}",
                *_spread_text(each.training),
                short(each.training_flops),
                *(("", "") if each.decoding is None else _spread_text(each.decoding)),
                short(each.peak_bytes, "B"),
            ]
        )
    lines = [
        f"batch {measured[0].rows}; medians, with the least and the most; training: forward, loss and backward",
        "pass; decoding: the last tokens of a sequence one after the other, the others being cached; memory: its",
        "rise in a training step, on a CPU that of the process",
        *aligned(rows, n_left=1),
    ]
    for title in dict.fromkeys(each.title for each in measured):
        own = [each for each in measured if each.title == title]
        if (grown := exponent(own)) is not None:
            lengths = sorted({each.length for each in own})
            ends = f"from length {lengths[0]:,} to {lengths[-1]:,}"
            but = doubt(n_lengths=len(lengths), n_turns=n_turns)
            lines.append(
                f"{title}: {ends} the time of a training step grows as length ** {grown:.2f}"
                + (f" ({but})" if but else "")
            )
    return "\n".join(lines)


def _spread_text(spread: Spread) -> tuple[str, str]:
    return short(spread.median), f"{short(spread.low)}-{short(spread.high)}"
