"""PatchTST beyond its certificate: in training, what is refused, and what a checkpoint holds beside weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

pytest.importorskip("transformers")

from registry import SpecError
from zoo.errors import DataError
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export, from_hf
from zoo.interop.matching import spec_of

PATCHTST = family_named("patchtst")
SMALL = PATCHTST.examples[0]
V = 3


def series(n: int = 4) -> torch.Tensor:
    return torch.randn(n, SMALL["context_length"], V) * 3 + torch.tensor([5.0, -2.0, 0.0])


def rows(x: torch.Tensor) -> torch.Tensor:
    """[B, T, V] as ours reads it, a variable a row."""
    return x.transpose(1, 2).flatten(0, 1)


@pytest.mark.parametrize("changes", [{}, {"pre_norm": False, "use_cls_token": True}])
def test_in_training_it_gives_and_changes_what_the_reference_does(changes: dict[str, Any]) -> None:
    reference = random_reference(PATCHTST, {**SMALL, **changes}, seed=3).train()
    spec, model = from_hf(reference)
    model.train()
    for _ in range(2):
        x = series()
        theirs = reference(past_values=x).prediction_outputs  # type: ignore[operator]
        assert_close(model(rows(x)), rows(theirs), rtol=1e-5, atol=1e-4)
    rules = {rule.ours[0]: rule.theirs[0] for rule in PATCHTST.weights(spec) if rule.ours}  # type: ignore[union-attr]
    state, wanted = model.state_dict(), reference.state_dict()
    moved = [name for name in state if "running" in name]
    assert len(moved) == 2 * 2 * SMALL["num_hidden_layers"]
    for name in moved:
        assert_close(state[name], wanted[rules[name]], rtol=1e-4, atol=1e-5)
    direction = torch.randn_like(theirs)
    (model(rows(x)) * rows(direction)).sum().backward()
    (reference(past_values=x).prediction_outputs * direction).sum().backward()  # type: ignore[operator]
    gradients = {name: parameter.grad for name, parameter in reference.named_parameters()}
    largest = max(float(grad.abs().max()) for grad in gradients.values() if grad is not None)
    for name, parameter in model.named_parameters():
        if name in rules and parameter.grad is not None:
            grad = gradients[rules[name]]
            assert grad is not None
            assert_close(parameter.grad, grad.reshape(parameter.shape), rtol=1e-3, atol=1e-5 * largest)


def test_how_many_batches_were_seen_is_read_over_and_written_as_none(tmp_path: Path) -> None:
    reference = random_reference(PATCHTST, SMALL, seed=0).train()
    reference(past_values=series())  # type: ignore[operator]
    reference.save_pretrained(tmp_path / "theirs")  # type: ignore[operator]
    spec, model = from_hf(tmp_path / "theirs")
    export(spec, model, tmp_path / "ours", fields={"num_input_channels": V})
    theirs, ours = (load_file(tmp_path / name / "model.safetensors") for name in ("theirs", "ours"))
    assert theirs.keys() == ours.keys()
    different = {name for name in theirs if not torch.equal(theirs[name], ours[name])}
    assert {name.rpartition(".")[2] for name in different} - {"position_enc"} == {"num_batches_tracked"}
    for name in different:
        if name.endswith("position_enc"):  # worked out anew, in float64
            assert_close(theirs[name], ours[name], rtol=0, atol=1e-7)
        else:
            assert (int(theirs[name]), int(ours[name])) == (1, 0)


def test_sinusoids_of_another_make_are_refused_and_rounded_ones_kept(tmp_path: Path) -> None:
    random_reference(PATCHTST, SMALL, seed=0).save_pretrained(tmp_path / "theirs")  # type: ignore[operator]
    file = tmp_path / "theirs" / "model.safetensors"
    tensors = load_file(file)
    name = "model.encoder.positional_encoder.position_enc"
    table = tensors[name]
    save_file({**tensors, name: table.bfloat16().float()}, file)
    said: list[str] = []
    spec: Any = from_hf(tmp_path / "theirs", say=said.append)[0]
    assert spec.position.type == "learned"
    assert "holds rounded sinusoids" in said[0]
    save_file({**tensors, name: table + 0.1}, file)
    with pytest.raises(DataError, match="position_enc' should be a fixed table, and differs from it"):
        from_hf(tmp_path / "theirs")


def test_patches_end_where_the_series_ends() -> None:
    spec = spec_of(PATCHTST, {**SMALL, "context_length": 15})  # 4 values each, 3 apart: 2 are over
    assert (spec.inputs.left_out, spec.inputs.length) == ("start", 4)
    assert spec_of(PATCHTST, {**SMALL, "context_length": 16}).inputs.left_out == "end"


BASE = {"architectures": ["PatchTSTModel"]}


@pytest.mark.parametrize(
    ("config", "message"),  # the last field is the one refused
    [
        ({"share_embedding": False}, "false cannot be represented; only true can"),
        ({"share_projection": False}, "false cannot be represented; only true can"),
        ({"channel_attention": True}, "true cannot be represented; only false can"),
        (
            {"loss": "nll"},
            "'nll' cannot be represented, for ours forecasts numbers and no distribution; only",
        ),
        ({"scaling": "max"}, "must be 'std', 'mean', true, false or null, got 'max'"),
        ({"scaling_dim": 2}, "2 cannot be represented; only 1 can"),
        ({"norm_type": "instancenorm"}, "must be 'batchnorm' or 'layernorm', got 'instancenorm'"),
        ({"positional_encoding_type": "zeros"}, "must be 'sincos' or 'random', got 'zeros'"),
        ({"pooling_type": "attention"}, "must be 'mean', 'max' or null, got 'attention'"),
        ({"use_cls_token": True, "positional_dropout": 0.1}, "beside use_cls_token, which it spares"),
        ({"patch_length": 4, "context_length": 4}, "4 values cannot be cut to patches of 4, 1 apart"),
        ({"num_input_channels": 0}, "a series without variables cannot be forecast"),
        ({**BASE, "do_mask_input": True}, "true cannot be represented: a training by masked patches"),
        ({"architectures": ["PatchTSTForPretraining"]}, "'PatchTSTForPretraining' cannot be represented"),
        (
            {"architectures": ["PatchTSTForClassification"]},
            "known for patchtst: PatchTSTForPrediction, Patch",
        ),
        ({"architectures": ["PatchTSTForRegression"]}, "'PatchTSTForRegression' cannot be represented"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_name(config: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        spec_of(PATCHTST, {"model_type": "patchtst", **config})
    assert f"config.json: {list(config)[-1]}: " in str(caught.value)


@pytest.mark.parametrize("scaling", [True, "mean"])
def test_true_means_the_mean(scaling: object) -> None:
    inputs = spec_of(PATCHTST, {"scaling": scaling}).inputs
    assert (inputs.scaling, inputs.scaling_eps) == ("mean_size", 1e-10)
    assert spec_of(PATCHTST, {"scaling": False}) == spec_of(PATCHTST, {"scaling": None})


def test_the_number_of_variables_is_a_further_field(tmp_path: Path) -> None:
    spec, model = from_hf(random_reference(PATCHTST, SMALL, seed=0))
    export(spec, model, tmp_path / "out", fields={"num_input_channels": 7})
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_input_channels"] == 7
