"""Tokens per second of a training step: a decoder of the zoo against the same one in a page of plain PyTorch.

The plain one is what a good hand writes: one product for queries, keys and values, and torch's fused attention; with
torch's AdamW as it comes, and once more with its fused one. All have char_gpt's sizes and the same weights, see the
same batches in turn, in one process, and give the same loss; a step is forward, loss, backward, clipping, update. The
zoo's loss is its task's, its optimizer that of the preset, and it scales gradients only where they are too long, all as
in `zoo train`; no side has a Trainer around it.

    python examples/benchmarks/plain_loop.py
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.training.order import Position

WARM_UP = 10  # steps not counted


class Block(nn.Module):
    """A pre-norm layer without biases."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm_1, self.norm_2 = nn.LayerNorm(d_model, bias=False), nn.LayerNorm(d_model, bias=False)
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.inner = nn.Linear(d_model, d_ff, bias=False)
        self.outer = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = (
            each.view(B, T, self.n_heads, -1).transpose(1, 2)
            for each in self.qkv(self.norm_1(x)).split(D, dim=2)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(B, T, D))
        return x + self.outer(F.gelu(self.inner(self.norm_2(x))))


class Plain(nn.Module):
    """A GPT with learned positions and tied embeddings."""

    def __init__(
        self, vocab_size: int, length: int, d_model: int, n_layers: int, n_heads: int, d_ff: int
    ) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab_size, d_model), nn.Embedding(length, d_model)
        self.blocks = nn.Sequential(*(Block(d_model, n_heads, d_ff) for _ in range(n_layers)))
        self.norm = nn.LayerNorm(d_model, bias=False)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        logits = F.linear(self.norm(self.blocks(x)), self.tokens.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def take(self, weights: dict[str, Tensor]) -> None:
        """The weights of the zoo's model."""
        ours: dict[str, Tensor] = {
            "tokens.weight": weights["tokens.weight"],
            "positions.weight": weights["decoder.position.table.weight"],
            "norm.weight": weights["decoder.final_norm.weight"],
        }
        for i in range(len(self.blocks)):
            layer, block = f"decoder.layers.{i}", f"blocks.{i}"
            parts = [weights[f"{layer}.self_attention.{name}.weight"] for name in ("query", "key", "value")]
            ours |= {
                f"{block}.qkv.weight": torch.cat(parts),
                f"{block}.out.weight": weights[f"{layer}.self_attention.output.weight"],
                f"{block}.inner.weight": weights[f"{layer}.ffn.inner.weight"],
                f"{block}.outer.weight": weights[f"{layer}.ffn.outer.weight"],
                f"{block}.norm_1.weight": weights[f"{layer}.layout.norms.0.weight"],
                f"{block}.norm_2.weight": weights[f"{layer}.layout.norms.1.weight"],
            }
        self.load_state_dict(ours)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=12, help="rows of 64 tokens a batch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = zoo.load(
        "char_gpt",
        "task.data={type: grammar_text, n_train: 20000, n_dev: 50, n_test: 50}",
        f"training.tokens_per_batch={64 * args.rows}",
        "training.precision=fp32",
        "training.accelerator=cpu",
    )
    with tempfile.TemporaryDirectory() as folder:
        module, data = zoo.lightning(run, f"{folder}/run", progress=False)
        batches = data.batches
        found = (batches[batches.order.after(Position(0, 0), i)] for i in itertools.count())
        whole = (batch for batch in found if batch["tokens"].shape == (args.rows, 64))
        own = list(itertools.islice(whole, args.steps + WARM_UP))
    models: dict[str, nn.Module] = {"zoo": module.model}
    optimizers = {"zoo": module.configure_optimizers()["optimizer"]}
    for name, is_fused in (("plain", None), ("plain, fused AdamW", True)):
        plain = Plain(run.model.tokens.vocab_size, 64, d_model=128, n_layers=4, n_heads=4, d_ff=512)
        plain.take(module.model.state_dict())
        decayed = [p for p in plain.parameters() if p.dim() == 2]
        bare = [p for p in plain.parameters() if p.dim() != 2]
        groups: list[Any] = [
            {"params": decayed, "weight_decay": 0.1},
            {"params": bare, "weight_decay": 0.0},
        ]
        models[name] = plain
        optimizers[name] = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=is_fused)
    for group in optimizers["zoo"].param_groups:
        group["lr"] = 1e-3
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for batch in own:
        labels = batch["labels"].view_as(batch["tokens"])  # every token has one
        values = {}
        for name, model in models.items():
            start = time.perf_counter()
            if name == "zoo":
                sums = data.task.loss(model, batch)
                loss = sums.loss / sums.n_predicted
            else:
                loss = model(batch["tokens"], labels)
            loss.backward()
            if name == "zoo":
                gradients = [p.grad for p in model.parameters() if p.grad is not None]
                norm = float(nn.utils.get_total_norm(gradients))
                if norm > 1.0:
                    torch._foreach_mul_(gradients, 1.0 / norm)
            else:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizers[name].step()
            optimizers[name].zero_grad(set_to_none=True)
            seconds[name].append(time.perf_counter() - start)
            values[name] = loss.detach()
        if len(seconds["zoo"]) == 1:
            for value in values.values():
                torch.testing.assert_close(value, values["zoo"], rtol=1e-5, atol=1e-5)
    n_tokens = args.rows * 64
    print(f"{args.steps} steps, {args.threads} threads; medians")
    kept = {name: each[WARM_UP:] for name, each in seconds.items()}
    for name, each in kept.items():
        ratio = statistics.median(a / b for a, b in zip(each, kept["zoo"], strict=True))
        print(
            f"{name:20} {n_tokens / statistics.median(each):10,.0f} tokens/s; the zoo is {ratio:.2f}× as fast"
        )


if __name__ == "__main__":
    main()
