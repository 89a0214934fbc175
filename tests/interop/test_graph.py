"""Models as graphs: torch.export and ONNX give the model's numbers at other sizes, and say what they cannot hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.interop.graph import Open, Part, parts, traced, whole_inputs
from zoo.interop.graph_files import difference, largest_difference, write_onnx, write_program
from zoo.kernels.attention import choose
from zoo.masks import Mask

PRESETS = (
    "vit_small_fashion",
    "spoken_digits",
    "mixtral_8x7b",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("tagger_small", "patch_tst", "gpt2", "mistral_7b", "longformer_base", "wav2vec2_base")
    ),
)


def built(name: str) -> tuple[Any, nn.Module]:
    spec = zoo.load(name, scale="tiny").model
    torch.manual_seed(3)
    return spec, zoo.build(spec).eval()


@pytest.mark.parametrize("name", PRESETS)
def test_a_program_gives_the_models_numbers_at_other_sizes(name: str, tmp_path: Path) -> None:
    spec, model = built(name)
    (part,) = parts(model, spec)
    graph = traced(part)
    assert all(port.shape[0] == "batch" for port in [*graph.inputs, *graph.outputs])
    assert all("length" in port.shape for port in graph.inputs if port.name in ("tokens", "mask"))
    gap = largest_difference(graph, write_program(graph, tmp_path / "model.pt2"), model, spec)
    assert gap <= 2e-6


def test_onnx_runs_other_batches_than_the_traced_one(tmp_path: Path) -> None:
    spec, model = built("vit_small_fashion")
    graph = traced(parts(model, spec)[0])
    assert largest_difference(graph, write_onnx(graph, tmp_path / "model.onnx"), model, spec) < 1e-6
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [each.shape for each in session.get_inputs()] == [["batch", 1, 12, 12]]
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("logits", ["batch", 4])]


@pytest.mark.slow
def test_an_encoder_decoder_has_three_graphs_in_onnx(tmp_path: Path) -> None:
    spec, model = built("t5_small")
    whole, encoder, decoder = parts(model, spec)
    for part in (encoder, decoder):
        graph = traced(part)
        run = write_onnx(graph, tmp_path / f"{part.name}.onnx")
        assert largest_difference(graph, run, model, spec) < 1e-5
    assert [part.name for part in (whole, encoder, decoder)] == ["model", "encoder", "decoder"]
    given, _ = whole_inputs(model, spec, 4, {"source_length": 2})
    # The two one after the other are the whole.
    source = {name: tensor for name, tensor in given.items() if name.startswith("source")}
    with torch.no_grad():
        memory, mask = encoder.module(**source)
        found = decoder.module(given["target"], memory, mask)
        torch.testing.assert_close(found, model(**given))


def test_a_fixed_length_is_no_open_size() -> None:
    spec, model = built("whisper_tiny")
    _, encoder, _ = parts(model, spec)
    graph = traced(encoder)
    n_frames = spec.source.n_frames
    assert [port.shape for port in graph.inputs] == [
        ("batch", spec.source.n_mels, n_frames),
        ("batch", n_frames),
    ]


def test_the_positions_that_there_are_bound_the_length() -> None:
    spec, model = built("gpt2")
    assert traced(parts(model, spec)[0]).most == {"length": spec.position.max_len}


class Looped(nn.Module):
    """Its loop is as long as a number in it says."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(x[0, 0])):
            x = x + 1
        return x


class Fixed(nn.Module):
    """Its trace is of the rows that it was given."""

    def forward(self, x: Tensor) -> Tensor:
        return x * len(x)


def part(module: nn.Module) -> Part:
    return Part("model", module, {"x": torch.rand(3, 5)}, {"x": Open({0: "batch"}, "")}, (("y", ""),))


def test_what_no_graph_holds_is_one_line_with_its_place(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        zoo.SpecError, match=r"no graph holds this model: .*test_graph.py:\d+: for _ in range"
    ) as error:
        traced(part(Looped()))
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_a_graph_for_the_traced_batch_alone_is_none() -> None:
    with pytest.raises(zoo.SpecError, match="no graph for every batch: it would hold 3 alone"):
        traced(part(Fixed()))


def test_numbers_that_differ_are_an_error() -> None:
    with pytest.raises(zoo.SpecError, match=r"differs from the model by 0\.1, and rounding is up to 0\.0001"):
        difference(torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0, 0.6]]), None, where="y")
    with pytest.raises(zoo.SpecError, match="differs from the model by nan"):
        difference(torch.tensor([[1.0]]), torch.tensor([[float("nan")]]), None, where="y")
    ours, theirs = torch.zeros(1, 2, 3), torch.tensor([[[0.0] * 3, [9.0] * 3]])
    assert difference(ours, theirs, torch.tensor([[True, False]]), where="y") == 0.0


def test_inside_an_export_no_kernel_is_chosen_by_length(monkeypatch: pytest.MonkeyPatch) -> None:
    q = torch.randn(2, 3, 300, 4)
    mask = Mask(radius=5)
    assert choose(q, q, q, mask=mask, bias=None, dropout=0.0) == "blocked"
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert choose(q, q, q, mask=mask, bias=None, dropout=0.0) == "sdpa"
    assert choose(q, q, q, mask=mask, bias=None, dropout=0.0, soft_cap=5.0) == "eager"
