import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.relative_2d import Relative2D, Relative2DSpec
from zoo.masks import Mask

B, H, K, HEIGHT, WIDTH = 2, 4, 3, 3, 5


def module(height=HEIGHT, width=WIDTH, n_prefix=2):
    torch.manual_seed(1)
    return Relative2D(d_model=12, n_heads=H, height=height, width=width, n_prefix=n_prefix).double()


def heads(length, n=H):
    return torch.randn(B, n, length, K, dtype=torch.float64)


def bias_of(module, length, mask=None):
    return module.bias(heads(length), heads(length, 2), scale=0.3, mask=mask or Mask())


@pytest.mark.parametrize("n_prefix", [0, 1, 2])
def test_each_shift_has_its_number_whatever_the_places(n_prefix):
    ours = module(n_prefix=n_prefix)
    bias, seen = bias_of(ours, n_prefix + HEIGHT * WIDTH)[0], {}
    places = [None] * n_prefix + [(i, j) for i in range(HEIGHT) for j in range(WIDTH)]
    for t, query in enumerate(places):
        for s, key in enumerate(places):
            if query is None or key is None:
                shift = f"{query is None} {key is None}"
            else:
                shift = (query[0] - key[0], query[1] - key[1])
            assert_close(seen.setdefault(shift, bias[:, t, s]), bias[:, t, s], rtol=0, atol=0)
    numbers = torch.stack(list(seen.values()))
    assert len(numbers.unique(dim=0)) == len(seen) == len(ours.table.weight)
    spec = Relative2DSpec(height=HEIGHT, width=WIDTH, n_prefix=n_prefix)
    assert spec.n_shifts == len(seen)


def test_a_shift_by_hand():
    ours = module(2, 3, 1)  # rows of shifts -1, 0, 1, each of columns -2 to 2, then the prefix's three
    rows = ours.rows(Mask(), 7, 7, torch.device("cpu"))
    assert rows[4, 3] == 2 * 5 + 0  # from (1, 0) to (0, 2): a row below, two columns left
    assert rows[3, 4] == 0 * 5 + 4
    assert rows[2, 2] == 1 * 5 + 2
    assert (rows[0, 6], rows[6, 0], rows[0, 0]) == (15, 16, 17)


def test_with_its_table_it_is_beits():
    beit = pytest.importorskip("transformers.models.beit.modeling_beit")
    config = beit.BeitConfig(image_size=12, patch_size=3, num_attention_heads=H, hidden_size=12)
    theirs = beit.BeitRelativePositionBias(config).double()
    torch.nn.init.normal_(theirs.relative_position_bias_table)
    ours = module(4, 4, 1)
    ours.table.weight.data.copy_(theirs.relative_position_bias_table)
    assert_close(bias_of(ours, 17), theirs((4, 4)))


def test_the_tables_gradient_is_the_sum_over_equal_shifts():
    ours = module(n_prefix=1)
    upstream = torch.randn(1, H, 16, 16, dtype=torch.float64)
    bias_of(ours, 16).backward(upstream)
    rows = ours.rows(Mask(), 16, 16, torch.device("cpu"))
    expected = torch.zeros_like(ours.table.weight)
    for t in range(16):
        for s in range(16):
            expected[rows[t, s]] += upstream[0, :, t, s]
    assert_close(ours.table.weight.grad, expected)


def test_layers_that_share_it_look_the_table_up_once_a_batch():
    ours, mask = module(), Mask()
    assert bias_of(ours, 9, mask) is bias_of(ours, 9, mask)
    assert bias_of(ours, 9, mask) is not bias_of(ours, 8, mask)
    before = bias_of(ours, 9, mask)
    with torch.no_grad():
        ours.table.weight += 1
    assert_close(bias_of(ours, 9, mask), before + 1)


def test_a_sequence_may_end_before_the_grid_but_not_after_it():
    ours = module()
    whole = bias_of(ours, 17)
    assert_close(bias_of(ours, 9), whole[..., :9, :9])
    with pytest.raises(ValueError, match=r"18 is longer than the 2 tokens .* grid of 3 rows by 5 columns"):
        bias_of(ours, 18)


def test_documents_and_given_positions_are_refused():
    numbers = torch.zeros(B, 9, dtype=torch.int64)
    with pytest.raises(ValueError, match="know no documents: give each image a row of its own"):
        bias_of(module(), 9, Mask(documents=numbers))
    with pytest.raises(ValueError, match="take no positions given to a call"):
        bias_of(module(), 9, Mask(positions=numbers))
