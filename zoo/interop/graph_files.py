"""Graphs in files: ONNX and torch.export's own form, written and run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from registry import Problem, Spec, SpecError
from zoo.interop.graph import Graph, quiet, real_places, renamed, trials

Run = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]
"""Takes a graph's inputs by name and gives its outputs."""

ONE_FILE = 1_800_000_000
"""Bytes of weights up to which ONNX has them in its own file: a protocol buffer holds 2 GiB."""
_TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def check_onnx() -> None:
    """Raises: SpecError where a package that ONNX needs is not installed."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(name)
        except ModuleNotFoundError:
            message = f"{name} is not installed; ONNX needs it: pip install 'architecture-zoo[onnx]'"
            raise SpecError([Problem("", message)]) from None


def write_onnx(graph: Graph, path: Path) -> Run:
    """Writes a graph as ONNX, its sizes by their names; gives what onnxruntime makes of the file, on the CPU.

    Raises: SpecError for an operation that ONNX has not.
    """
    import onnxruntime

    n_bytes = sum(each.numel() * each.element_size() for each in graph.program.state_dict.values())
    with quiet():
        try:
            made: Any = torch.onnx.export(
                graph.program,
                dynamo=True,
                input_names=[each.name for each in graph.inputs],
                output_names=[each.name for each in graph.outputs],
                verbose=False,
            )
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = next((line for line in lines if line.startswith("<class")), lines[0] if lines else "")
            raise SpecError([Problem("model", f"ONNX cannot say what this model does: {reason}")]) from None
        _name_sizes(made.model, graph.names)
        made.save(path, external_data=n_bytes > ONE_FILE)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    known = {each.name for each in session.get_inputs()}

    def run(given: Mapping[str, Tensor]) -> list[Tensor]:
        arrays = {name: tensor.numpy() for name, tensor in given.items() if name in known}
        return [torch.from_numpy(each) for each in session.run(None, arrays)]

    return run


def _name_sizes(model: Any, names: Mapping[str, str]) -> None:
    """Names the open sizes everywhere in an ONNX model, in the place of the trace's symbols."""
    import onnx_ir

    values = [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
    for value in values:
        if value.shape is not None:
            value.shape = onnx_ir.Shape([_named(each, names) for each in value.shape])


def _named(size: Any, names: Mapping[str, str]) -> int | str | None:
    """A size by its name; an unknown one stays so, for equal names promise equal sizes."""
    if isinstance(size, int):
        return size
    return None if size.value is None else renamed(str(size.value), names)


def write_program(graph: Graph, path: Path) -> Run:
    """Writes a graph as torch.export has it; gives the program that torch.export.load makes of the file."""
    with quiet():
        torch.export.save(graph.program, path)
        loaded: Any = torch.export.load(path).module()

    def run(given: Mapping[str, Tensor]) -> Sequence[Tensor]:
        found = loaded(**given)
        return found if isinstance(found, tuple | list) else [found]

    return run


def largest_difference(graph: Graph, run: Run, model: nn.Module, spec: Spec) -> float:
    """The largest difference between what a written graph gives and the model itself, for batches of other sizes than
    the traced one, where the output stands for real input.

    Raises: SpecError where it is more than rounding.
    """
    largest = 0.0
    with torch.no_grad():
        for given in trials(graph, model, spec):
            wanted = graph.part.module(**given)
            wanted = wanted if isinstance(wanted, tuple) else (wanted,)
            real = real_places(graph.part, given)
            sizes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in given.items())
            try:
                found = run(given)
            except Exception as error:
                reason = str(error).strip().partition("\n")[0]
                raise SpecError(
                    [Problem("model", f"the written graph does not take {sizes}: {reason}")]
                ) from None
            for ours, theirs, port in zip(wanted, found, graph.outputs, strict=True):
                largest = max(largest, difference(ours, theirs, real, where=f"{port.name} of {sizes}"))
    return largest


def difference(ours: Tensor, theirs: Tensor, real: Tensor | None, *, where: str) -> float:
    """The largest difference of two outputs at their real places. Raises: SpecError where it is more than rounding."""
    if ours.shape != theirs.shape:
        message = f"{where}: written as {list(theirs.shape)}, where the model gives {list(ours.shape)}"
        raise SpecError([Problem("model", message)])
    if real is not None and ours.shape[:2] == real.shape and ours.dim() > 2:
        ours, theirs = ours[real], theirs[real]
    gap = (ours.double() - theirs.double()).abs().max().item() if ours.numel() else 0.0
    scale = ours.double().abs().max().item() if ours.numel() else 0.0
    most = _TOLERANCES.get(ours.dtype, 0.0) * max(scale, 1e-3)
    if not gap <= most:  # nor where it is no number
        message = (
            f"{where}: what was written differs from the model by {gap:.3g}, and rounding is up to {most:.3g}"
        )
        raise SpecError([Problem("model", message)])
    return gap
