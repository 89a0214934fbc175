"""What the formulas say a training step keeps, against what torch saves for the backward pass."""

import pytest
import torch

import presets
import zoo
from tests.analysis.inputs import raw_inputs
from zoo.analysis.cost import cost
from zoo.analysis.size import parts_of
from zoo.assembly.build import build
from zoo.kinds import POSITION
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


def saved_bytes(model, run):
    """Bytes of all tensors that what runs keeps, weights left out, each once however often it is saved."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in model.parameters()}
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage  # held, or its place would be given to another
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for place, storage in found.items() if place not in weights)


def kept_by_step(model_spec, rows, length):
    torch.manual_seed(3)
    model = build(model_spec).train()
    tokens = [torch.randint(5, each.vocab_size, (rows, length)) for each in model_spec.slots.values()]

    def step():
        hidden, _ = model.hidden(*tokens)
        model.head.loss(hidden.flatten(0, 1), torch.full((rows * length,), 5), label_smoothing=0.1)

    return saved_bytes(model, step)


@pytest.mark.parametrize(("name", "overrides", "sizes"), CASES, ids=lambda value: str(value)[:20])
def test_the_estimate_of_activations_and_loss_is_within_a_tenth_of_what_torch_saves(name, overrides, sizes):
    rows, length = sizes
    model = zoo.load(name, *overrides, scale="tiny").model
    batch = Batch(n_tokens=rows * length, length=length)
    # What the loss has in memory for a moment is no tensor that is saved.
    chunk = 0 if getattr(model.head, "soft_cap", None) else rows * length * vocabulary(model)
    estimated = 4 * (sum(part.n_kept(batch=batch) for part in parts_of(model)) - chunk)
    assert kept_by_step(model, rows, length) == pytest.approx(estimated, rel=0.1)


def vocabulary(model):
    return next(iter(model.slots.values())).vocab_size


NAMES = [
    # A row of the paper's tables is another preset's form.
    pytest.param(name, marks=[pytest.mark.slow] if "/" in name else [])
    for name in presets.names()
]


@pytest.mark.parametrize("name", NAMES)
def test_what_the_layers_of_a_preset_keep_is_within_a_tenth_of_what_torch_saves(name):
    spec = zoo.load(name, scale="tiny").model
    torch.manual_seed(3)
    model = build(spec).train()
    longest = min(getattr(each, "max_len", None) or 200 for each in positions(spec))
    for rows, n in ((9, min(longest, 40)), (2, min(longest, 200))):
        inputs = [raw_inputs(each, rows, n) for each in spec.slots.values()]
        found = cost(spec, batch=rows, length=n, device="cpu")
        estimated = sum(part.activation_bytes for part in found.parts if part.kind != "head")
        kept = saved_bytes(model, lambda inputs=inputs: model.hidden(*inputs))
        assert estimated == pytest.approx(kept, rel=0.1), (rows, n)


def positions(spec):
    return [part.spec for part in parts_of(spec) if part.kind is POSITION]


def test_twice_the_tokens_keep_twice_as_much():
    model = zoo.load("quickstart").model
    parts = {part.path: part for part in parts_of(model)}
    ffn = parts["model.encoder.layer.ffn"]
    once, twice = (ffn.n_kept(batch=Batch(n_tokens=n, length=10)) for n in (100, 200))
    assert twice == 2 * once == 2 * 2 * 100 * (128 + 512)  # two layers: input and hidden values
