"""What is drawn of positions is what their modules do."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from registry import SpecError
from zoo.analysis.maps import position_drawing
from zoo.analysis.positions import position_numbers
from zoo.components.position.sinusoidal import sinusoids
from zoo.drawing.shapes import Cells, Path
from zoo.kinds import POSITION, Position, PositionSpec

SIZES = {"d_model": 24, "n_heads": 3, "length": 7}
ONLY_CAUSAL = ("key_alibi", "xpos")
"""What stands in no other stack."""


def numbers(name: str, *, is_causal: bool = False, sizes=SIZES, **fields):
    return position_numbers(POSITION.entry(name).spec(**fields), **sizes, is_causal=is_causal)


def cells(found) -> list[np.ndarray]:
    """Heat maps of a drawing, but for the scales of their shades."""
    shapes = [shape for shape in position_drawing(found).shapes if isinstance(shape, Cells)]
    return [np.array(shape.rows) for shape in shapes if len(shape.rows) > 1]


def test_sinusoids_are_drawn_as_they_are_added() -> None:
    found = numbers("sinusoidal", base=50.0)
    expected = sinusoids(torch.arange(7), 24, 50.0, "interleaved").numpy()
    np.testing.assert_allclose(found.added, expected, atol=1e-12)
    (drawn,) = cells(found)
    np.testing.assert_allclose(drawn * np.abs(expected).max(), expected, atol=1e-12)
    assert not found.adds_by_input
    assert not found.is_learned


@pytest.mark.parametrize(
    ("pairing", "pairs"),
    [("half", [(0, 4), (1, 5), (2, 6), (3, 7)]), ("interleaved", [(0, 1), (2, 3), (4, 5), (6, 7)])],
)
def test_angles_are_those_of_the_formula_and_pairs_those_that_turn_together(pairing: str, pairs) -> None:
    found = numbers("rotary", base=30.0, pairing=pairing)
    assert list(found.pairs) == pairs
    turns = np.arange(7)[:, None] * 30.0 ** (-2 * np.arange(4) / 8)
    np.testing.assert_allclose(np.exp(1j * found.angles), np.exp(1j * turns), atol=1e-12)
    np.testing.assert_allclose(cells(found)[0] * np.abs(np.cos(turns)).max(), np.cos(turns), atol=1e-12)


def test_features_that_do_not_turn_are_no_pairs() -> None:
    assert numbers("rotary", fraction=0.5).pairs == ((0, 2), (1, 3))


def test_alibi_is_drawn_by_distance_and_head() -> None:
    found = numbers("alibi", sizes={**SIZES, "n_heads": 2}, is_causal=True)
    assert found.distances == [-6, -5, -4, -3, -2, -1, 0]
    slopes = np.array([2.0**-4, 2.0**-8])
    np.testing.assert_allclose(found.bias_by_distance(), -slopes[:, None] * np.arange(6, -1, -1), atol=1e-12)
    assert found.is_of_distance()
    lines = [
        each for each in position_drawing(found).shapes if isinstance(each, Path) and each.style == "line"
    ]
    assert sum(len(each.points) == 7 for each in lines) == 2


@pytest.mark.parametrize("is_causal", [False, True])
def test_learned_biases_are_those_of_the_module(is_causal: bool) -> None:
    spec = POSITION.entry("relative_buckets").spec(n_buckets=6, max_distance=5)
    found = position_numbers(spec, **SIZES, is_causal=is_causal, seed=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = POSITION.build(spec, d_model=24, n_heads=3)
    k = torch.tensor(found.distances)
    expected = module.table(module.buckets(k, is_causal=is_causal)).T.double()
    np.testing.assert_allclose(found.bias_by_distance(), expected.detach().numpy(), atol=1e-6)
    assert found.is_learned
    assert not found.biases_by_query


def test_what_depends_on_the_input_is_said() -> None:
    assert numbers("convolutional", kernel_size=4, n_groups=3).adds_by_input
    shaw = numbers("shaw", radius=2)
    assert shaw.biases_by_query
    assert shaw.is_of_distance()
    np.testing.assert_allclose(
        shaw.bias_by_distance()[:, 0], shaw.bias_by_distance()[:, 4]
    )  # beyond the radius


def test_factors_of_queries_are_drawn() -> None:
    found = numbers("temperature", step=3, strength=0.7)
    expected = 1 + 0.7 * np.log(1 + (np.arange(7) + 1) // 3)[:, None]
    np.testing.assert_allclose(found.factors, expected, atol=1e-12)
    assert found.angles is None
    (drawn,) = cells(found)
    np.testing.assert_allclose(drawn * expected.max(), expected, atol=1e-12)


def test_vectors_that_an_attention_reads_are_drawn_by_distance() -> None:
    found = numbers("relative_embeddings", span=3)
    assert found.vectors.shape == (13, 24)
    np.testing.assert_array_equal(found.vectors[0], found.vectors[3])  # clipped to the span


@pytest.mark.parametrize("name", POSITION.names())
def test_every_position_is_drawn_by_its_examples(name: str) -> None:
    for spec in POSITION.examples(name):
        sizes = SIZES | (
            {"n_heads": 6}
            if getattr(spec, "d_k", None) == 4 or hasattr(getattr(spec, "scaling", None), "short")
            else {}
        )
        found = position_numbers(spec, **sizes, is_causal=name in ONLY_CAUSAL)
        assert position_drawing(found).shapes
        does = [found.added, found.angles, found.factors, found.bias, found.vectors]
        assert any(each is not None for each in does) == (name != "none")


class OwnSpec(PositionSpec):
    type: Literal["own"] = "own"


class Own(Position):
    """Adds the query's place to its scores: no matter of distance."""

    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()

    def bias(self, q, k, *, scale, mask):
        return torch.arange(q.shape[2], dtype=q.dtype)[None, None, :, None].expand(1, 1, -1, k.shape[2])


def test_a_position_from_elsewhere_is_drawn_through_its_hooks(monkeypatch) -> None:
    monkeypatch.setattr(POSITION, "_entries", dict(POSITION._entries))
    POSITION.register("own", spec=OwnSpec, examples=[{}])(Own)
    found = position_numbers(OwnSpec(), **SIZES, is_causal=False)
    assert found.bias.shape == (1, 7, 7)
    assert not found.is_of_distance()
    assert found.added is None
    assert found.angles is None


def test_what_does_not_suit_is_said() -> None:
    with pytest.raises(SpecError, match="must be even"):
        numbers("sinusoidal", sizes={**SIZES, "d_model": 9})
    with pytest.raises(SpecError, match="longer than max_len"):
        numbers("learned", max_len=3)
