"""Text in and out: tables that can be cut and searched, and lines as they arrive."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

STANDARD_INPUT = "-"
_CHUNK_BYTES = 65536
_COLUMN = 24  # letters over a column, at most
_N_REFUSED = 5  # lines that could not be answered, of which the first are named


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool = False) -> None:
    """Aligned columns without borders or heading; or JSON."""
    if as_json:
        print_json(rows)
        return
    texts = [
        [", ".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values()] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_json(value: object) -> None:
    """Indented JSON, letters outside ASCII as they are."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def first_sentence(text: str) -> str:
    """The first sentence, on one line, without its full stop."""
    return re.split(r"(?<!\bal)\.(?:\s|$)", " ".join(text.split()), maxsplit=1)[0]


def component_text(about: Mapping[str, Any]) -> str:
    """What `registry.describe` tells of a component, for reading."""
    head = f"{about['kind']}/{about['name']}  ({about['where']})"
    keys = [_key_text(field) for field in about["fields"]] or ["  none"]
    examples = [f"  {json.dumps({'type': about['name'], **example})}" for example in about["examples"]]
    parts = [head, about["doc"], "\n".join(["Keys:", *keys]), "\n".join(["Examples:", *examples])]
    return "\n\n".join(part for part in (parts if examples else parts[:-1]) if part)


def _key_text(field: Mapping[str, Any]) -> str:
    takes = ", ".join([field["type"], *field["bounds"]])
    default = "required" if field["required"] else f"default {json.dumps(field['default'], default=str)}"
    return f"  {field['name']}: {takes}; {default}\n      {' '.join(field['doc'].split())}"


def results_text(results: Mapping[str, Any]) -> str:
    """The scores of an evaluation, with how they were computed and on what, and what could not be answered."""
    from zoo.amounts import amount, cut_text

    data = results["data"]
    files = [data.get("source"), data.get("reference"), *data.get("further_references", ())]
    what = data["split"] if "split" in data else ", ".join(files)
    counts = ", ".join(f"{count} {reason}" for reason, count in results["left_out"].items())
    speed = results["n_rows"] / max(results["seconds"], 1e-3)
    lines = [
        f"{title} {results[name]:.2f}  {results.get(f'{name}_signature', '')}{_by_length(results, name)}".rstrip()
        for name, title in results["titles"].items()
    ]
    lines.append(
        f"{what}: {amount(results['n_rows'], 'row')} in {results['seconds']:.1f} s, {speed:,.0f} a second, "
        f"{results['checkpoint']}"
    )
    if counts:
        lines.append(f"bad lines left out: {counts}")
    if n_cut := results.get("cut"):
        lines.append(cut_text(n_cut, results["n_rows"], results["cut_to"]))
    refused = results["refused"]
    if refused:
        lines.append(f"not answered, and scored as empty: {len(refused):,}")
        lines += [f"  {one['where']}: {one['why']}" for one in refused[:_N_REFUSED]]
    if len(refused) > _N_REFUSED:
        lines.append("  ...")
    return "\n".join(lines)


def _by_length(results: Mapping[str, Any], name: str) -> str:
    """A score at each length, where a metric says it."""
    found = results.get("by_length", {}).get(name)
    if not found:
        return ""
    return "by length " + ", ".join(f"{length}: {value:.2f}" for length, value in found.items())


def numbered(names: Iterable[str]) -> dict[str, str]:
    """What stands over a column for each name: itself, or a number such as [2] where it is no short word."""
    return {
        name: f"[{i}]" if " " in name or len(name) > _COLUMN else name
        for i, name in enumerate(dict.fromkeys(names), start=1)
    }


def samples_text(results: Mapping[str, Any]) -> str:
    """A few rows with their answers."""
    return "\n\n".join(
        "\n".join(
            f"{name:<10}  {text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)}"
            for name, text in sample.items()
        )
        for sample in results["samples"]
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def next_text(folder: Path, results: Mapping[str, Any]) -> str:
    """Where a run lies, and the commands that go on from it."""
    zoo = sys.argv[0] if Path(sys.argv[0]).name == "zoo" and shutil.which("zoo") is None else "zoo"
    run = shlex.quote(str(folder))
    if any("source" in sample for sample in results["samples"]):
        text = shlex.quote(results["samples"][0]["source"])
        use, score = f"echo {text} | {zoo} generate {run}", f"{zoo} evaluate {run} --data SOURCE REFERENCE"
    else:
        use, score = f"{zoo} {_use_of(folder, run)}", f"{zoo} evaluate {run}"
    return "\n  ".join([f"The run lies in {folder}. With it:", use, score, f"{zoo} show {run}"])


def _use_of(folder: Path, run: str) -> str:
    """How a run's model is asked, by what its task reads and does."""
    from zoo.kinds import TASK
    from zoo.run.folder import run_in

    task: Any = run_in(folder).task
    builder: Any = TASK.entry(task.type).builder
    if builder.file_fields:
        return f"predict {run} FILE..."
    return f"{'generate' if builder.writes_text else 'predict'} {run} FILE_OF_LINES"


def check_inputs(files: Sequence[str], run: Path, *, command: str) -> None:
    """Raises: RunError for a file that is not there, before anything slow; it may have been text."""
    from zoo.errors import RunError

    for path in [Path(file) for file in files if file != STANDARD_INPUT]:
        if path.is_dir():
            raise RunError(f"{path}: a folder, where a file is asked for")
        if not path.exists():
            text = f"; text comes by standard input: echo {shlex.quote(str(path))} | zoo {command} {run}"
            raise RunError(f"{path}: No such file or directory{'' if path.suffix[1:].isalnum() else text}")


def input_lines(files: Sequence[str]) -> Iterator[tuple[str, int, list[str]]]:
    """The lines of the files, or of standard input, in groups: what one read brings, so that no line waits.

    Each comes with the name of its file and the number of its first line. A byte that is no UTF-8 is a lone surrogate
    in its line, which is then refused where it is answered.
    Files are read as `zoo.data.lines` reads them: plain or gzipped, with or without a byte-order mark.
    Raises: DataError for a file that cannot be read, or whose compressed data is damaged.
    """
    from zoo.data.lines import open_unpacked

    for file in files or [STANDARD_INPUT]:
        if file == STANDARD_INPUT:
            yield from _numbered(sys.stdin.buffer, "standard input")
        else:
            with open_unpacked(Path(file)) as stream:
                yield from _numbered(stream, file)


def json_rows(lines: Sequence[str]) -> list[Any]:
    """The object of each line of JSON; a Refusal for a line that holds none."""
    from zoo.storage.records import json_fault
    from zoo.tasks.task import Refusal

    rows: list[Any] = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            rows.append(Refusal(f"no JSON ({json_fault(error)})"))
        else:
            rows.append(row if isinstance(row, dict) else Refusal("no object of JSON"))
    return rows


def _numbered(stream: BinaryIO, name: str) -> Iterator[tuple[str, int, list[str]]]:
    from zoo.data.lines import DAMAGE, damaged

    number = 1
    try:
        for lines in _stream_lines(stream):
            yield name, number, lines
            number += len(lines)
    except DAMAGE as error:
        raise damaged(name, number, error) from None


def _stream_lines(stream: BinaryIO) -> Iterator[list[str]]:
    # A line ends at "\n" only: U+2028 and the like are text here, for line i of the output answers line i.
    from zoo.data.lines import BYTE_ORDER_MARK

    rest, mark = b"", BYTE_ORDER_MARK
    while chunk := stream.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            lines[0], mark = lines[0].removeprefix(mark), b""
            yield [_decoded(line) for line in lines]
    if rest:
        yield [_decoded(rest.removeprefix(mark))]


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").removesuffix("\r")
