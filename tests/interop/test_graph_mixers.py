"""Graphs of models that mix by something else than attention: their numbers at other sizes, or why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import zoo
from registry import SpecError
from zoo.interop.graph import parts, traced
from zoo.interop.graph_files import largest_difference, write_onnx, write_program


def built(mixer: str) -> tuple[Any, nn.Module]:
    overrides = (f"model.encoder.layer.mixer={mixer}", "model.position=none")
    spec = zoo.load("text_classifier_small", *overrides, scale="tiny").model
    torch.manual_seed(3)
    return spec, zoo.build(spec).eval()


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["convolution", "fourier"])
def test_a_graph_gives_the_models_numbers_at_other_sizes_and_paddings(mixer: str, tmp_path: Path) -> None:
    spec, model = built(mixer)
    graph = traced(parts(model, spec)[0])
    assert largest_difference(graph, write_program(graph, tmp_path / "model.pt2"), model, spec) <= 2e-6
    assert largest_difference(graph, write_onnx(graph, tmp_path / "model.onnx"), model, spec) <= 2e-6


def test_a_recurrence_that_torch_takes_apart_step_by_step_has_no_graph_for_every_length() -> None:
    spec, model = built("{type: lstm, direction: both}")
    with pytest.raises(SpecError, match="no graph for every length: it would hold 7 alone"):
        traced(parts(model, spec)[0])
