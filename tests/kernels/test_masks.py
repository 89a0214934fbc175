"""Every tensor a mask gives is compared with the description's own words, pair by pair, in plain Python."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from zoo.masks import Mask

CPU = torch.device("cpu")
QUIET = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])  # a busy core


def may_attend(mask: Mask, b: int, t: int, j: int) -> bool:
    i = mask.offset + t
    if mask.causal and j > i:
        return False
    if mask.radius is not None and abs(i - j) > mask.radius:
        tokens = mask.global_tokens
        if tokens is None or not (tokens[b, i] or tokens[b, j]):
            return False
    if mask.documents is not None and mask.documents[b, i] != mask.documents[b, j]:
        return False
    return mask.keys is None or bool(mask.keys[b, j])


def by_pairs(mask: Mask, B: int, T: int, S: int) -> torch.Tensor:
    return torch.tensor(
        [[[[may_attend(mask, b, t, j) for j in range(S)] for t in range(T)]] for b in range(B)]
    )  # [B, 1, T, S]


@dataclass(frozen=True)
class Case:
    mask: Mask
    B: int
    T: int
    S: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    B, S = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    offset = draw(st.integers(0, S - 1))
    T = draw(st.integers(1, S - offset))

    def rows(value: st.SearchStrategy[int]) -> torch.Tensor:
        return torch.tensor(draw(st.lists(st.lists(value, min_size=S, max_size=S), min_size=B, max_size=B)))

    mask = Mask(
        causal=draw(st.booleans()),
        radius=draw(st.none() | st.integers(0, S)),
        keys=rows(st.integers(0, 1)).bool() if draw(st.booleans()) else None,
        global_tokens=rows(st.integers(0, 1)).bool() if draw(st.booleans()) else None,
        documents=rows(st.integers(0, 2)) if draw(st.booleans()) else None,
        positions=rows(st.integers(0, 20)) if draw(st.booleans()) else None,  # which hide nothing
        offset=offset,
    )
    return Case(mask, B, T, S)


@given(cases())
@settings(QUIET, max_examples=150)
def test_dense_bias_and_idle_say_what_the_description_says(case: Case) -> None:
    expected = by_pairs(case.mask, case.B, case.T, case.S)

    dense = case.mask.dense(case.T, case.S, CPU)
    if dense is None:
        assert expected.all()
    else:
        assert not expected.all() or case.mask.documents is not None or case.mask.global_tokens is not None
        assert dense.dtype == torch.bool
        assert torch.equal(dense.expand_as(expected), expected)

    bias = case.mask.bias(case.T, case.S, torch.float32, CPU)
    assert (bias is None) == (dense is None)
    if bias is not None:
        assert bias.isfinite().all()
        assert_close(bias.expand_as(expected).double().exp(), expected.double())

    idle = case.mask.idle(case.T, case.S, CPU)
    expected_idle = ~expected.any(-1, keepdim=True)
    if idle is None:
        assert not expected_idle.any()
    else:
        assert torch.equal(idle.expand_as(expected_idle), expected_idle)


@pytest.mark.parametrize(
    ("mask", "T", "S"),
    [
        (Mask(), 3, 5),
        (Mask(causal=True), 1, 1),
        (Mask(causal=True, offset=6), 1, 7),
        (Mask(radius=4), 5, 5),
        (Mask(causal=True, radius=9, offset=4), 1, 5),
        (Mask(keys=torch.ones(2, 5, dtype=torch.bool)), 3, 5),
    ],
)
def test_a_mask_that_hides_nothing_is_no_tensor(mask: Mask, T: int, S: int) -> None:
    assert mask.dense(T, S, CPU) is None
    assert mask.bias(T, S, torch.float32, CPU) is None
    assert mask.idle(T, S, CPU) is None


def test_layers_share_the_tensors_of_one_mask() -> None:
    mask = Mask(causal=True, keys=torch.tensor([[True, True, False]]))
    assert mask.dense(3, 3, CPU) is mask.dense(3, 3, torch.device("cpu"))
    assert mask.bias(3, 3, torch.float64, CPU) is mask.bias(3, 3, torch.float64, CPU)
    assert mask.bias(3, 3, torch.float32, CPU) is not mask.bias(3, 3, torch.float64, CPU)
    assert mask.within(1) is mask.within(1)
    assert mask.within(1).dense(3, 3, CPU) is mask.within(1).dense(3, 3, CPU)
    assert mask.within(2) is not mask.within(1)


def test_within_narrows_and_never_widens() -> None:
    keys = torch.tensor([[True, False, True]])
    mask = Mask(causal=True, keys=keys, offset=2, radius=3)
    narrow = mask.within(1)
    assert (narrow.radius, narrow.causal, narrow.offset) == (1, True, 2)
    assert narrow.keys is keys
    assert mask.within(3) is mask
    assert mask.within(8) is mask


def test_positions_lie_on_the_key_axis() -> None:
    mask = Mask(causal=True, offset=4)
    assert mask.query_positions(3, CPU).tolist() == [4, 5, 6]
    assert mask.key_positions(2, CPU).tolist() == [0, 1]
    assert mask.query_positions(3, CPU).dtype == mask.key_positions(2, CPU).dtype == torch.int64
    assert mask.query_positions(3, CPU) is mask.query_positions(3, CPU)


def test_given_positions_are_counted_instead_of_places() -> None:
    documents = torch.tensor([[0, 0, 1, 1]] * 2)
    positions = torch.tensor([[7, 8, 1, 3], [0, 5, 5, 2]])
    keys = torch.tensor([[False, True, True, True]] * 2)
    mask = Mask(causal=True, keys=keys, documents=documents, positions=positions, offset=1)
    for count in (mask.query_positions, mask.place_positions, mask.token_positions):
        assert count(2, CPU).tolist() == [[8, 1], [5, 5]]
    assert mask.key_positions(4, CPU) is positions
    assert mask.query_places(2, CPU).tolist() == [1, 2]
    assert mask.key_places(4, CPU).tolist() == [0, 1, 2, 3]
    assert mask.distances(2, 4, CPU).tolist() == [
        [[[-1, 0, -7, -5], [6, 7, 0, 2]]],
        [[[-5, 0, 0, -3], [-5, 0, 0, -3]]],
    ]
    assert Mask(offset=1).distances(2, 3, CPU).tolist() == [[[[-1, 0, 1], [-2, -1, 0]]]]
    assert mask.end(3) == 9  # 3 queries: 8, 1, 3
    assert Mask(offset=1).end(3) == 4


def test_a_mask_used_in_inference_mode_can_train_later() -> None:
    mask = Mask(causal=True)
    with torch.inference_mode():
        assert mask.bias(3, 3, torch.float32, CPU).is_inference()
    scores = torch.randn(3, 3, requires_grad=True)
    (scores * mask.bias(3, 3, torch.float32, CPU)).sum().backward()  # saves the bias


def real(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.bool)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": -1}, r"radius \(-1\) must be 0 or more"),
        ({"offset": -2}, r"offset \(-2\) must be 0 or more"),
        ({"keys": torch.ones(2, 3)}, "keys must be bool .* not torch.float32"),
        ({"keys": torch.ones(2, 3, dtype=torch.int64)}, "keys must be bool"),
        ({"global_tokens": torch.ones(2, 3, dtype=torch.uint8)}, "global_tokens must be bool"),
        ({"documents": torch.ones(2, 3)}, "documents must be integer ids, not torch.float32"),
        ({"documents": real(2, 3)}, "documents must be integer ids, not torch.bool"),
        ({"keys": real(3)}, r"keys must have the shape \[B, S\], not \[3\]"),
        ({"keys": real(2, 3), "global_tokens": real(2, 4)}, "must share one shape"),
    ],
)
def test_a_wrong_description_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mask(**arguments)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Mask(keys=real(2, 6)), r"keys must have the shape \[B, 5\] for 5 keys, not \[2, 6\]"),
        (Mask(causal=True, offset=3), "3 queries from position 3 do not fit 5 keys"),
        (Mask(radius=1, offset=3), "3 queries from position 3 do not fit 5 keys"),
        (Mask(documents=torch.zeros(2, 5, dtype=torch.int32), offset=4), "do not fit 5 keys"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(mask: Mask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask.dense(3, 5, CPU)


def test_token_positions_count_real_tokens_only():
    keys = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]]).bool()
    mask = Mask(causal=True, keys=keys)
    assert mask.token_positions(5, CPU).tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 1, 2], [0, 1, 2, 3, 4]]
    late = Mask(causal=True, keys=keys, offset=3)
    assert late.token_positions(2, CPU).tolist() == [[1, 2], [1, 2], [3, 4]]
    assert late.key_token_positions(5, CPU).tolist() == [[0, 0, 0, 1, 2], [0, 0, 1, 1, 2], [0, 1, 2, 3, 4]]
    assert Mask(offset=3).key_token_positions(5, CPU).tolist() == [0, 1, 2, 3, 4]


def test_token_positions_of_rows_padded_at_the_end_are_those_of_the_columns():
    mask = Mask(keys=torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]).bool())
    assert mask.token_positions(4, CPU) is mask.query_positions(4, CPU)
    assert Mask(offset=2).token_positions(3, CPU).tolist() == [2, 3, 4]
