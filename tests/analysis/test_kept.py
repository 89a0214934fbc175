"""What the formulas say a training step keeps, against what torch saves for the backward pass."""

import pytest
import torch

import zoo
from zoo.analysis.size import parts_of
from zoo.assembly.build import build
from zoo.sizes import Batch

MIXTURE = "model.decoder.layer.ffn={type: mixture_of_experts, n_experts: 3, top_k: 2, expert: {type: mlp, d_ff: 90}}"
CASES = [
    ("quickstart", [], (16, 12)),
    ("quickstart", [], (3, 160)),
    ("t5_small", [], (9, 40)),
    ("llama2_7b", [], (9, 40)),
    ("qwen3_0_6b", [], (9, 40)),
    ("gpt2", ["model.decoder.layer.layout=sandwich"], (9, 40)),
    ("mixtral_8x7b", [MIXTURE], (9, 40)),
    ("gemma2_2b", [], (9, 40)),
    ("longformer_base", [], (9, 24)),
]


def saved_bytes(model_spec, rows, length):
    """Bytes of all tensors that a step keeps, weights left out, each once however often it is saved."""
    torch.manual_seed(3)
    model = build(model_spec).train()
    weights = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage  # held, or its place would be given to another
        return tensor

    def tokens(embedding):
        return torch.randint(5, embedding.vocab_size, (rows, length))

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        if model_spec.type == "encoder_decoder":
            memory = model.encode(tokens(model_spec.source))
            hidden = model.decode(tokens(model_spec.slots["target"]), memory)
        elif model_spec.type == "decoder_only":
            hidden = model.decode(tokens(model_spec.tokens))
        else:
            hidden = model.encode(tokens(model_spec.inputs))
        model.head.loss(hidden.flatten(0, 1), torch.full((rows * length,), 5), label_smoothing=0.1)
    return sum(storage.nbytes() for place, storage in found.items() if place not in weights)


@pytest.mark.parametrize(("name", "overrides", "sizes"), CASES, ids=lambda value: str(value)[:20])
def test_the_estimate_of_activations_is_within_thirty_percent_of_what_torch_saves(name, overrides, sizes):
    rows, length = sizes
    model = zoo.load(name, *overrides, scale="tiny").model
    batch = Batch(n_tokens=rows * length, length=length)
    # What the loss has in memory for a moment is no tensor that is saved.
    chunk = 0 if getattr(model.head, "soft_cap", None) else rows * length * vocabulary(model)
    estimated = 4 * (sum(part.n_kept(batch=batch) for part in parts_of(model)) - chunk)
    assert saved_bytes(model, rows, length) == pytest.approx(estimated, rel=0.3)


def vocabulary(model):
    return next(iter(model.slots.values())).vocab_size


def test_twice_the_tokens_keep_twice_as_much():
    model = zoo.load("quickstart").model
    parts = {part.path: part for part in parts_of(model)}
    ffn = parts["model.encoder.layer.ffn"]
    once, twice = (ffn.n_kept(batch=Batch(n_tokens=n, length=10)) for n in (100, 200))
    assert twice == 2 * once == 2 * 2 * 100 * (128 + 512)  # two layers: input and hidden values
