"""One layer, two more architectures: an encoder that fills gaps and a decoder that continues."""

import torch

import zoo

TEXT = "what is composed of parts can be taken apart, and what is taken apart can be composed anew. " * 40
LETTERS = sorted(set(TEXT))
V, GAP = len(LETTERS) + 5, 4
ids = torch.tensor([LETTERS.index(letter) + 5 for letter in TEXT])

LAYER = {
    "layout": "pre_norm",
    "norm": "rms_norm",
    "self_attention": {"type": "multi_head", "n_heads": 4, "n_kv_heads": 2},
    "ffn": {"type": "glu", "d_ff": 128, "activation": "silu"},
    "dropout": 0.0,
}
STACK = {"n_layers": 2, "layer": LAYER, "position": "rotary"}
TOKENS = {"type": "tokens", "vocab_size": V}


def model(kind: str, embedding: str, stack: str) -> torch.nn.Module:
    head = {"type": "language_model", "predicts": embedding}
    spec = {"type": kind, "d_model": 64, embedding: TOKENS, stack: STACK, "head": head}
    return zoo.build(zoo.load({"model": spec}).model)


def train(net: torch.nn.Module, is_causal: bool, steps: int = 120) -> float:
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(steps):
        starts = torch.randint(len(ids) - 33, (16,))
        x = torch.stack([ids[start : start + 33] for start in starts])
        gaps = torch.rand(16, 32) < 0.15
        given = x[:, :-1] if is_causal else torch.where(gaps, GAP, x[:, :-1])
        wanted = x[:, 1:] if is_causal else x[:, :-1]
        logits = net(given)
        wrong = torch.ones_like(gaps) if is_causal else gaps
        loss = torch.nn.functional.cross_entropy(logits[wrong], wanted[wrong])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


torch.manual_seed(0)
decoder, encoder = model("decoder_only", "tokens", "decoder"), model("encoder_only", "inputs", "encoder")
print(
    "decoder_only, next letter: loss",
    round(train(decoder, is_causal=True), 2),
    "of",
    round(torch.tensor(V).log().item(), 2),
)
print("encoder_only, gap letters: loss", round(train(encoder, is_causal=False), 2))
text = ids[:20][None]
with torch.no_grad():
    for _ in range(40):
        text = torch.cat([text, decoder(text[:, -32:])[:, -1:].argmax(-1)], dim=1)
print("".join(LETTERS[i - 5] if i > 4 else "?" for i in text[0].tolist()))
