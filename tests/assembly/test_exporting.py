"""torch.export with the batch and the lengths left open: the program gives the model's numbers at other sizes."""

import pytest
import torch
from torch.export import Dim, export
from torch.testing import assert_close

import zoo
from zoo.masks import Mask

BATCH, SOURCE, TARGET = (
    Dim("batch", min=2, max=64),
    Dim("source", min=2, max=50),
    Dim("target", min=2, max=50),
)


def tokens(rows, length):
    return torch.randint(5, 80, (rows, length))


def real(rows, length, padded_row, n_real):
    mask = torch.ones(rows, length, dtype=torch.bool)
    mask[padded_row, n_real:] = False
    return mask


def inputs(model, rows, source, target):
    """Arguments by name, the last mask being that of the output's places."""
    if model.type == "encoder_decoder":
        return {
            "source": tokens(rows, source),
            "target": tokens(rows, target),
            "source_mask": real(rows, source, 0, source - 3),
            "target_mask": real(rows, target, rows - 1, target - 2),
        }
    name = "tokens" if model.type == "decoder_only" else "inputs"
    return {name: tokens(rows, target), "mask": real(rows, target, 1, target - 3)}


@pytest.mark.parametrize(
    "name",
    [
        "bert_base",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("llama2_7b", "quickstart", "t5_small")),
    ],
)
def test_an_exported_model_takes_other_batches_and_lengths_with_a_mask(name):
    spec = zoo.load(name, scale="tiny").model
    torch.manual_seed(4)
    model = zoo.build(spec).eval()
    given = inputs(spec, 3, 11, 9)
    open_sizes = {key: {0: BATCH, 1: SOURCE if key.startswith("source") else TARGET} for key in given}
    program = export(model, (), given, dynamic_shapes=open_sizes).module()
    for sizes in ((3, 11, 9), (5, 7, 14), (2, 20, 6)):
        given = inputs(spec, *sizes)
        mask = list(given.values())[-1]
        with torch.no_grad():  # what stands at padded places means nothing
            assert_close(program(**given)[mask], model(**given)[mask], rtol=1e-4, atol=1e-5)


def test_a_mask_of_several_tensors_is_checked_without_a_hash_of_its_lengths():
    class Dense(torch.nn.Module):
        def forward(self, keys, documents):
            mask = Mask(causal=True, keys=keys, documents=documents)
            return mask.dense(keys.shape[1], keys.shape[1], keys.device)

    def pair(rows, length):
        return real(rows, length, 1, length - 2), torch.randint(3, (rows, length))

    sizes = {0: BATCH, 1: TARGET}
    program = export(Dense(), pair(3, 9), dynamic_shapes=(sizes, sizes)).module()
    given = pair(4, 12)
    assert torch.equal(program(*given), Dense()(*given))
