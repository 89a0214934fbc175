"""A spec is data: load one, change it by dotted keys, build it, and see how mistakes are answered."""

import torch

import zoo

# A preset by name. Each override is what `zoo train PRESET KEY=VALUE` takes on the command line.
run = zoo.load(
    "transformer_base",
    "model.d_model=64",
    "model.source.vocab_size=100",
    "model.encoder.n_layers=2",
    "model.encoder.layer.self_attention.n_heads=4",
    "model.encoder.layer.norm=rms_norm",  # another component, by its registered name
    "model.decoder.cross_attention.n_heads=4",
)
model = zoo.build(run.model)
source = torch.randint(4, 100, (2, 7))  # ids 0 to 3 are padding, unknown, begin, end
target = torch.randint(4, 100, (2, 5))
print("logits", list(model(source, target).shape))
print("parameters", f"{sum(p.numel() for p in model.parameters()):,}")

# At its published size, on the meta device: counted without a byte of weights.
big = zoo.build(zoo.load("transformer_big").model, device="meta")
print("transformer_big", f"{sum(p.numel() for p in big.parameters()):,}")

# Nothing unknown is ignored; all mistakes come at once, with their place and the nearest right name.
try:
    zoo.load("transformer_base", "model.encoder.layer.norm=rms_nrom", "model.d_model=100")
except ValueError as error:
    print(error)
