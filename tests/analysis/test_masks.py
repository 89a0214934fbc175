"""What is drawn of masks is what the layers' masks say, by the description and by what was computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import zoo
from registry import SpecError
from zoo.analysis.maps import masks_drawing
from zoo.analysis.masks import attention_masks, model_masks
from zoo.drawing.shapes import Cells
from zoo.kinds import ATTENTION
from zoo.masks import Mask

T = 11


def dense(mask: Mask) -> np.ndarray:
    found = mask.dense(T, T, torch.device("cpu"))
    return np.ones((T, T), bool) if found is None else found[0, 0].numpy()


def drawn(maps) -> list[np.ndarray]:
    shapes = masks_drawing(maps, "a title").shapes
    return [np.array(shape.rows) == 1.0 for shape in shapes if isinstance(shape, Cells)]


def attention(name: str, **fields):
    return ATTENTION.entry(name).spec(**fields)


@pytest.mark.parametrize("n_documents", [1, 3])
def test_an_attention_by_itself_is_drawn_in_each_role_that_it_takes(n_documents: int) -> None:
    places = torch.arange(T)[None] * n_documents // T
    documents = places if n_documents > 1 else None
    maps = attention_masks(
        attention("restricted", n_heads=3, radius=2), d_model=12, length=T, n_documents=n_documents
    )
    assert [each.role for each in maps] == ["self", "causal"]
    for each, cells in zip(maps, drawn(maps), strict=True):
        mask = Mask(causal=each.role == "causal", radius=2, documents=documents)
        np.testing.assert_array_equal(each.allowed, dense(mask))
        np.testing.assert_array_equal(cells, each.allowed)


def test_global_tokens_see_and_are_seen_and_those_that_only_a_model_names_are_told() -> None:
    (own,) = attention_masks(
        attention("global_local", n_heads=3, radius=1, n_global=2), d_model=12, length=T
    )[:1]
    tokens = torch.arange(T)[None] < 2
    np.testing.assert_array_equal(own.allowed, dense(Mask(radius=1, global_tokens=tokens)))
    wide = attention_masks(attention("restricted", n_heads=3, radius=T - 1), d_model=12, length=T)[0]
    assert wide.told.endswith(f"its radius, {T - 1}, is wider than this.")
    assert "radius" not in own.told
    (told,) = attention_masks(attention("global_local", n_heads=3, radius=1), d_model=12, length=T)[:1]
    assert "token 0 is global" in told.told
    assert told.allowed[5].tolist() == [j in (0, 4, 5, 6) for j in range(T)]


def test_each_form_of_layer_is_drawn_once_with_the_layers_that_have_it() -> None:
    model = zoo.load(
        "gemma2_2b", "model.decoder.layers.0.cycle.0.self_attention.radius=3", scale="tiny"
    ).model
    maps, without = model_masks(model, length=T)
    assert [each.part for each in maps] == ["restricted", "multi_head"]
    np.testing.assert_array_equal(maps[0].allowed, dense(Mask(causal=True, radius=3)))
    np.testing.assert_array_equal(maps[1].allowed, dense(Mask(causal=True)))
    assert set(maps[0].layers) | set(maps[1].layers) == set(range(len(maps[0].layers) + len(maps[1].layers)))
    assert maps[0].layers[0] == 0
    assert without == []
    assert [each.part for each in model_masks(model, length=T, layers=[1])[0]] == ["multi_head"]
    with pytest.raises(SpecError, match="there is no layer 99"):
        model_masks(model, length=T, layers=[99])


def test_an_encoder_a_decoder_and_what_stands_between_them() -> None:
    maps, _ = model_masks(zoo.load("transformer_base", scale="tiny").model, length=T)
    assert [each.role for each in maps] == ["self", "causal", "cross"]
    assert maps[0].allowed.all()
    np.testing.assert_array_equal(maps[1].allowed, np.tri(T, dtype=bool))
    assert maps[2].allowed.all()


def test_what_attends_by_no_softmax_is_named_and_where_nothing_does_it_is_said() -> None:
    maps, without = model_masks(zoo.load("hybrid", scale="tiny").model, length=T)
    assert maps
    assert without
    with pytest.raises(SpecError, match="nothing attends by a softmax"):
        model_masks(zoo.load("seq2seq_lstm", scale="tiny").model, length=T)


@pytest.mark.parametrize(
    "name", ["deberta_v3_base", "t5_small", "bloom_560m", "conv_seq2seq", "seq2seq_bahdanau"]
)
def test_attentions_of_every_sort_are_seen(name: str) -> None:
    maps, _ = model_masks(zoo.load(name, scale="tiny").model, length=T)
    assert all(each.allowed.any(axis=1).all() for each in maps)
