import math

import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.sinusoidal_2d import Sinusoidal2D, Sinusoidal2DSpec
from zoo.masks import Mask

D, HEIGHT, WIDTH = 12, 3, 5


def module(d_model=D, **changed):
    fields = {"height": HEIGHT, "width": WIDTH, "n_prefix": 2, "first": "columns"} | changed
    return Sinusoidal2D(d_model=d_model, n_heads=1, **{"base": 10000.0, "layout": "concatenated"} | fields)


@pytest.mark.parametrize("layout", ["concatenated", "concatenated_inclusive", "interleaved"])
@pytest.mark.parametrize("first", ["columns", "rows"])
def test_each_half_holds_the_sinusoids_of_one_coordinate(layout, first):
    table = module(base=70.0, layout=layout, first=first).table(torch.device("cpu"))
    assert list(table.shape) == [2 + HEIGHT * WIDTH, D]
    assert not table[:2].any()
    n = D // 4
    for row in range(HEIGHT):
        for column in range(WIDTH):
            vector = table[2 + row * WIDTH + column]
            for half, along in enumerate((column, row) if first == "columns" else (row, column)):
                for i in range(n):
                    angle = along * 70.0 ** (-i / (n - 1 if layout == "concatenated_inclusive" else n))
                    sine, cosine = (2 * i, 2 * i + 1) if layout == "interleaved" else (i, n + i)
                    assert vector[half * 2 * n + sine].item() == pytest.approx(math.sin(angle))
                    assert vector[half * 2 * n + cosine].item() == pytest.approx(math.cos(angle))


def test_rows_first_is_the_table_of_transformers():
    mae = pytest.importorskip("transformers.models.vit_mae.modeling_vit_mae")
    theirs = mae.build_2d_sinusoidal_position_embedding(HEIGHT, WIDTH, 20, cls_token=True)
    ours = module(20, n_prefix=1, first="rows").embed(torch.zeros(1, 16, 20), mask=Mask())
    assert_close(ours[0], theirs)


def test_a_sequence_may_end_before_the_grid_and_start_within_it():
    grid, x = module(), torch.randn(2, 6, D, dtype=torch.float64)
    table = grid.table(torch.device("cpu"))
    assert_close(grid.embed(x, mask=Mask()), x + table[:6])
    assert_close(grid.embed(x, mask=Mask(causal=True, offset=11)), x + table[11:])


def test_a_sequence_longer_than_the_grid_is_refused():
    with pytest.raises(ValueError, match=r"18 is longer than the 2 tokens .* grid of 3 rows by 5 columns"):
        module().embed(torch.randn(2, 6, D), mask=Mask(offset=12))


def test_sizes_without_pairs_are_refused():
    context = {"n_heads": 1, "d_k": 4, "role": "self"}
    with pytest.raises(ValueError, match=r"d_model \(10\) must be a multiple of 4"):
        Sinusoidal2DSpec(height=2, width=3).check(d_model=10, **context)
    with pytest.raises(ValueError, match=r"d_model \(4\) must be at least 8"):
        Sinusoidal2DSpec(height=2, width=3, layout="concatenated_inclusive").check(d_model=4, **context)
    Sinusoidal2DSpec(height=2, width=3).check(d_model=4, **context)
