"""BERT as a causal decoder, GPT-2 with a cross-attending encoder, the paper's base with today's parts: specs alone."""

from pathlib import Path

import torch

import zoo
from zoo.conformance.laws import laws, part_of
from zoo.kinds import DECODING, MODEL

SPECS = Path(__file__).parent / "specs"


def inputs(model) -> tuple[torch.Tensor, ...]:
    """Tokens that count upwards, for models to learn from: what the decoder reads comes last."""
    counted = (torch.arange(9) + torch.randint(5, 60, (8, 1))) % 90 + 5
    return (counted, counted) if model.type == "encoder_decoder" else (counted,)


for name in ("bert_as_decoder", "gpt2_with_encoder", "modern_base"):
    full = zoo.load(SPECS / f"{name}.yaml")  # the published sizes; `scales` has one for trying out
    run = zoo.load(SPECS / f"{name}.yaml", scale="tiny")
    print(f"\n{name}: {full.model.type}, {zoo.n_parameters(full.model):,} parameters")

    part = part_of(MODEL, run.model)
    held = [law.name for law in laws(part) if law.check(part) is None]  # a broken law raises
    print(" holds:", ", ".join(held))

    torch.manual_seed(0)
    model = zoo.build(run.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        given = inputs(run.model)
        logits = model(*given)[:, :-1].flatten(0, 1)
        losses.append(torch.nn.functional.cross_entropy(logits, given[-1][:, 1:].flatten()))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    print(f" loss {losses[0].item():.2f} -> {losses[1].item():.2f} -> ... -> {losses[-1].item():.2f}")

    search = DECODING.build(run.generation.model_copy(update={"max_length": 5}))
    [[best, *_]] = search(model.eval(), torch.tensor([[20, 21, 22, 23]]))
    print(" after 20 21 22 23 it writes:", *best.tokens)
