"""Fixed tables that a checkpoint holds rounded: kept as they are, for the reference reads them so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file

from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export, from_hf, to_hf

TOKENS = torch.tensor([[5, 7, 30, 9, 11], [8, 6, 13, 21, 3]])


def read(folder: Path, **settings: Any) -> tuple[Any, Any, list[str]]:
    lines: list[str] = []
    spec, model = from_hf(folder, say=lines.append, **settings)
    return spec, model, lines


def whisper(dtype: torch.dtype) -> tuple[Any, Tensor, dict[str, Tensor]]:
    """A Whisper whose table went through a narrower dtype, as OpenAI's checkpoints did."""
    family = family_named("whisper")
    reference = random_reference(family, {**family.examples[0], "max_source_positions": 150}, seed=0)
    table = reference.model.encoder.embed_positions.weight
    table.data = table.data.to(dtype).float()
    features = torch.randn(2, 5, 300)
    return reference, table, {"input_features": features, "decoder_input_ids": TOKENS % 29}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rounded_sinusoids_of_whisper_are_kept_as_they_are(dtype: torch.dtype, tmp_path: Path) -> None:
    reference, table, given = whisper(dtype)
    reference.save_pretrained(folder := tmp_path / "x")
    spec, model, lines = read(folder)
    expected = reference(**given).logits
    error = (model(*given.values()) - expected).abs().max() / expected.abs().max()
    assert error < 2e-5
    assert torch.equal(model.encoder.position.table.weight, table)
    name = "model.encoder.embed_positions.weight"
    assert lines == [
        f"{folder}: {name!r} holds rounded sinusoids; they are kept, as positions that can be trained"
    ]
    export(spec, model, tmp_path / "back")
    assert torch.equal(load_file(tmp_path / "back" / "model.safetensors")[name], table)
    assert_close(to_hf(spec, model)(**given).logits, expected, rtol=2e-5, atol=2e-5)


def test_a_table_as_the_reference_computes_it_stays_one_that_is_computed(tmp_path: Path) -> None:
    reference, _, given = whisper(torch.float32)
    reference.save_pretrained(folder := tmp_path / "x")
    spec, model, lines = read(folder)
    assert (spec.encoder.position.type, lines) == ("sinusoidal", [])
    assert_close(model(*given.values()), reference(**given).logits, rtol=2e-5, atol=1e-4)


def test_a_half_precision_table_is_kept_where_the_model_becomes_wider_and_computed_where_it_does_not(
    tmp_path: Path,
) -> None:
    reference, _, given = whisper(torch.float32)
    reference.half().save_pretrained(tmp_path / "half")
    assert read(tmp_path / "half")[0].encoder.position.type == "sinusoidal"
    spec, model, _ = read(tmp_path / "half", dtype=torch.float32)
    assert spec.encoder.position.type == "learned"
    expected = reference.float()(**given).logits
    assert (model(*given.values()) - expected).abs().max() / expected.abs().max() < 2e-5


def test_rounded_sinusoids_of_marian_are_kept_in_both_stacks(tmp_path: Path) -> None:
    family = family_named("marian")
    reference = random_reference(family, family.examples[0], seed=0)
    names = [f"model.{stack}.embed_positions.weight" for stack in ("encoder", "decoder")]
    tables = {name: reference.state_dict()[name].half().float() for name in names}
    reference.save_pretrained(folder := tmp_path / "x")
    file = folder / "model.safetensors"
    save_file({**load_file(file), **tables}, file)
    spec, model, lines = read(folder)
    theirs = type(reference).from_pretrained(folder).eval()
    assert torch.equal(theirs.state_dict()[names[0]], tables[names[0]])  # as the reference keeps them
    expected = theirs(input_ids=TOKENS, decoder_input_ids=TOKENS[:, :3]).logits
    assert_close(model(TOKENS, TOKENS[:, :3]), expected, rtol=2e-5, atol=2e-5)
    assert len(lines) == 2
    export(spec, model, tmp_path / "back")
    assert torch.equal(load_file(tmp_path / "back" / "model.safetensors")[names[1]], tables[names[1]])
