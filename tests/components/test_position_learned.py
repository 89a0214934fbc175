import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.learned import Learned
from zoo.masks import Mask

B, T, D = 2, 5, 6
KEYS = torch.tensor([[False, False, True, True, True], [True, True, True, True, False]])


def module(max_len=9, offset=0, counts_padding=False):
    torch.manual_seed(1)
    return Learned(d_model=D, n_heads=1, max_len=max_len, offset=offset, counts_padding=counts_padding)


def test_rows_are_added_from_the_offset_and_the_first_query_on():
    learned, x = module(offset=2), torch.randn(B, 3, D)
    assert list(learned.table.weight.shape) == [11, D]
    ours = learned.embed(x, mask=Mask(causal=True, offset=4))
    assert_close(ours, x + learned.table.weight[6:9])


def test_a_sequence_longer_than_max_len_is_refused():
    learned, x = module(offset=3), torch.randn(B, 2, D)
    learned.embed(x, mask=Mask(offset=7))
    with pytest.raises(ValueError, match=r"10 tokens is longer than max_len \(9\)"):
        learned.embed(x, mask=Mask(offset=8))
    left = torch.ones(B, 10, dtype=torch.bool)
    left[0, :4] = False
    with pytest.raises(
        ValueError, match=r"10 tokens is longer than max_len \(9\)"
    ):  # the row without padding
        learned.embed(torch.randn(B, 10, D), mask=Mask(keys=left))


def test_padding_on_the_left_does_not_use_up_max_len():
    learned, x = module(max_len=3), torch.randn(1, T, D)
    ours = learned.embed(x, mask=Mask(keys=KEYS[:1]))
    assert_close(ours[:, 2:], x[:, 2:] + learned.table.weight)
    with pytest.raises(ValueError, match=r"5 tokens is longer than max_len \(3\)"):
        module(max_len=3, counts_padding=True).embed(x, mask=Mask(keys=KEYS[:1]))


@pytest.mark.parametrize("family", ["opt", "roberta", "bart"])
def test_rows_are_those_of_published_families(family):
    modeling = pytest.importorskip(f"transformers.models.{family}.modeling_{family}")
    x = torch.zeros(B, T, D)
    ours = module(max_len=7, offset=2, counts_padding=family == "bart")
    if family == "opt":
        table = modeling.OPTLearnedPositionalEmbedding(7, D)
        theirs = table(KEYS.long())
    elif family == "bart":
        table = modeling.BartLearnedPositionalEmbedding(7, D)
        theirs = table(KEYS.long())
    else:
        table = torch.nn.Embedding(9, D)
        pad = 1
        ids = torch.where(KEYS, 5, pad)
        theirs = table(modeling.RobertaEmbeddings.create_position_ids_from_input_ids(ids, pad))
    ours.table.load_state_dict(table.state_dict())
    assert_close(ours.embed(x, mask=Mask(keys=KEYS))[KEYS], theirs[KEYS])
