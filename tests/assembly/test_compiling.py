"""torch.compile takes every preset as one graph, and gives what the model gives."""

import pytest
import torch
from torch.testing import assert_close

import presets
import zoo

# Routing sends each expert as many tokens as chose it, a number that no graph can hold.
NOT_ONE_GRAPH = {
    "mixtral_8x7b",
    "seq2seq_bahdanau",  # additive attention goes by chunks of its own, outside of graphs
}


def example(model):
    torch.manual_seed(1)
    if model.type == "encoder_decoder":
        return model.source.example_inputs(2)[0], torch.randint(5, model.slots["target"].vocab_size, (2, 6))
    return (model.tokens if model.type == "decoder_only" else model.inputs).example_inputs(2)[:1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in presets.names() if "/" not in name]
)  # rows of a table are the base
def test_a_model_compiles_as_a_whole(name):
    spec = zoo.load(name, scale="tiny").model
    model = zoo.build(spec).eval()
    given = example(spec)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=name not in NOT_ONE_GRAPH)
    with torch.no_grad():
        assert_close(compiled(*given), model(*given), rtol=1e-3, atol=1e-4)
