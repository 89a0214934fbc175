"""Tokens per second of a training step: the zoo against three models a user might pick instead.

All have the same sizes and see the same real batches in turn, in one process, so that a machine whose speed
drifts hurts all alike. A step is forward, label-smoothed loss, backward, clipping and a fused Adam update;
dropout 0.1, none of it on attention weights. Tokens are those of both sides, padding counted.

    python examples/benchmarks/training_speed.py --data FOLDER --source de --target en

Needs the extra `peers`. Without --data the batches come from the embedded grammar.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import zoo
from zoo import hardware
from zoo.tasks.prepared import prepare
from zoo.tasks.task import Batch as TaskBatch
from zoo.tasks.translation import TranslationSpec


class Batch(NamedTuple):
    """B pairs in dense tensors, as all of the models take them."""

    source: Tensor
    source_mask: Tensor
    target_input: Tensor
    labels: Tensor
    target_mask: Tensor
    n_tokens: int


Loss = Callable[[Batch], Tensor]


def on(batch: Batch, device: str) -> Batch:
    """The batch on a device."""
    return Batch(*(each.to(device) if isinstance(each, Tensor) else each for each in batch))


PAD, SMOOTHING, DROPOUT = 0, 0.1, 0.1


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=PAD, label_smoothing=SMOOTHING
    )


def our_model(sizes: dict[str, int]) -> tuple[nn.Module, Loss]:
    layer = "model.encoder.layer"
    run = zoo.load(
        "multi30k_small",
        f"model.d_model={sizes['d_model']}",
        f"model.source.vocab_size={sizes['vocab']}",
        f"model.encoder.n_layers={sizes['layers']}",
        f"{layer}.self_attention.n_heads={sizes['heads']}",
        f"model.decoder.cross_attention.n_heads={sizes['heads']}",
        f"{layer}.ffn.d_ff={sizes['d_ff']}",
    )
    model = zoo.build(run.model)

    def loss(batch: Batch) -> Tensor:
        memory = model.encode(batch.source, source_mask=batch.source_mask)
        hidden = model.decode(batch.target_input, memory, source_mask=batch.source_mask)
        real = batch.target_mask
        total = model.head.loss(hidden[real], batch.labels[real], label_smoothing=SMOOTHING).loss
        return total / batch.n_tokens

    return model, loss


class TorchModel(nn.Module):
    """torch.nn.Transformer with what it leaves to the user: embedding, sinusoids, tied output."""

    def __init__(self, sizes: dict[str, int]) -> None:
        super().__init__()
        d = sizes["d_model"]
        self.embedding = nn.Embedding(sizes["vocab"], d, padding_idx=PAD)
        nn.init.normal_(self.embedding.weight, std=d**-0.5)
        self.transformer = nn.Transformer(
            d, sizes["heads"], sizes["layers"], sizes["layers"], sizes["d_ff"], DROPOUT, batch_first=True
        )
        for module in self.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0  # else its slow path is taken
        angles = torch.arange(512)[:, None] / 10000 ** (torch.arange(0, d, 2) / d)
        self.register_buffer("sinusoids", torch.stack([angles.sin(), angles.cos()], -1).flatten(1))

    def embed(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) * math.sqrt(self.embedding.embedding_dim) + self.sinusoids[: ids.shape[1]]
        return F.dropout(x, DROPOUT)

    def forward(self, batch: Batch) -> Tensor:
        T = batch.target_input.shape[1]
        future = nn.Transformer.generate_square_subsequent_mask(T, device=batch.source.device)
        hidden = self.transformer(
            self.embed(batch.source),
            self.embed(batch.target_input),
            tgt_mask=future,
            tgt_is_causal=True,
            src_key_padding_mask=torch.zeros_like(batch.source_mask, dtype=future.dtype).masked_fill_(
                ~batch.source_mask, -math.inf
            ),
            memory_key_padding_mask=torch.zeros_like(batch.source_mask, dtype=future.dtype).masked_fill_(
                ~batch.source_mask, -math.inf
            ),
        )
        return cross_entropy(F.linear(hidden, self.embedding.weight), batch.labels)


def torch_model(sizes: dict[str, int]) -> tuple[nn.Module, Loss]:
    model = TorchModel(sizes)
    return model, model


def marian_model(sizes: dict[str, int]) -> tuple[nn.Module, Loss]:
    from transformers import MarianConfig, MarianMTModel

    side = {"layers": sizes["layers"], "attention_heads": sizes["heads"], "ffn_dim": sizes["d_ff"]}
    model = MarianMTModel(
        MarianConfig(
            vocab_size=sizes["vocab"],
            d_model=sizes["d_model"],
            **{f"{name}_{key}": value for name in ("encoder", "decoder") for key, value in side.items()},
            dropout=DROPOUT,
            attention_dropout=0.0,
            activation_dropout=0.0,
            activation_function="relu",
            scale_embedding=True,
            pad_token_id=PAD,
            eos_token_id=3,
            decoder_start_token_id=2,
            forced_eos_token_id=3,
            attn_implementation="sdpa",
        )
    )

    def loss(batch: Batch) -> Tensor:
        out = model(
            input_ids=batch.source,
            attention_mask=batch.source_mask.long(),
            decoder_input_ids=batch.target_input,
            use_cache=False,
        )
        return cross_entropy(out.logits, batch.labels)

    return model, loss


def x_model(sizes: dict[str, int]) -> tuple[nn.Module, Loss]:
    from x_transformers import XTransformer

    side = {
        "num_tokens": sizes["vocab"],
        "depth": sizes["layers"],
        "heads": sizes["heads"],
        "attn_dim_head": sizes["d_model"] // sizes["heads"],
        "ff_mult": sizes["d_ff"] // sizes["d_model"],
        "max_seq_len": 512,
        "attn_flash": True,
        "ff_dropout": DROPOUT,
        "emb_dropout": DROPOUT,
    }
    model = XTransformer(
        dim=sizes["d_model"],
        tie_token_emb=True,
        pad_value=PAD,
        ignore_index=PAD,
        **{f"{name}_{key}": value for name in ("enc", "dec") for key, value in side.items()},
    )

    def loss(batch: Batch) -> Tensor:
        memory = model.encoder(batch.source, mask=batch.source_mask, return_embeddings=True)
        net = model.decoder.net
        logits = net(batch.target_input, context=memory, context_mask=batch.source_mask)
        return cross_entropy(logits, batch.labels)

    return model, loss


MODELS = {
    "zoo": our_model,
    "torch.nn.Transformer": torch_model,
    "MarianMTModel": marian_model,
    "XTransformer": x_model,
}


def batches(args: argparse.Namespace) -> list[Batch]:
    """The first --batches batches of an epoch, as training would see them."""
    corpus: dict[str, Any] = {"type": "grammar"}
    if args.data:
        corpus = {"type": "parallel_text", "folder": args.data, "test": None, "dev": "val"}
        corpus |= {"source_language": args.source, "target_language": args.target}
    model = zoo.load("transformer_base", f"model.source.vocab_size={args.vocab}").model
    task = TranslationSpec.model_validate({"data": corpus})
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(
            task,
            model=model,
            folder=Path(folder),
            tokens_per_batch=args.tokens_per_batch,
            seed=1,
            is_resumed=False,
        )
        return [dense(data.batch(key)) for key in data.epoch(0)[: args.batches]]


def dense(batch: TaskBatch) -> Batch:
    """A batch of translation with its labels in their places."""
    source, target = batch["source"], batch["target"]
    labels = torch.full_like(target, PAD)
    labels.view(-1)[batch["places"]] = batch["labels"]
    return Batch(source, source != PAD, target, labels, labels != PAD, len(batch["labels"]))


def measure(
    precision: str, data: list[Batch], sizes: dict[str, int], device: str, compiled: bool
) -> dict[str, list[float]]:
    """Tokens per second of each step of each model, the models taking turns at every batch."""
    torch.manual_seed(0)
    sides = {}
    for name, make in MODELS.items():
        model, loss = make(sizes)
        model.to(device).train()
        if compiled:
            model.compile()
        fast = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9, fused=True)
        sides[name] = (model, loss, fast)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for i, batch in enumerate(data):
        for name, (model, loss, optimizer) in sides.items():
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                value = loss(batch)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if device == "cuda":
                torch.cuda.synchronize()
            if i >= 2:  # the first steps warm up
                n = batch.source.numel() + batch.target_input.numel()
                speeds[name].append(n / (time.perf_counter() - start))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of train.LANG and val.LANG, plain or .gz")
    parser.add_argument("--source", default="de")
    parser.add_argument("--target", default="en")
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--tokens-per-batch", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--d-ff", type=int, default=1024)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sizes = {
        "d_model": args.d_model,
        "layers": args.layers,
        "heads": args.heads,
        "d_ff": args.d_ff,
        "vocab": args.vocab,
    }
    data = [on(batch, args.device) for batch in batches(args)]
    table = Table(
        title=f"tokens per second, {len(data) - 2} steps each, {args.device}, {args.threads} threads"
    )
    for column in ("precision", "model", "median", "lowest", "highest", "zoo is faster by"):
        table.add_column(column, justify="left" if column in ("precision", "model") else "right")
    precisions = ["fp32", "bf16"] if hardware.multiplies_bf16(args.device) else ["fp32"]
    if len(precisions) == 1:
        table.caption = "bf16 is left out: this machine only emulates it"
    for precision in precisions:
        speeds = measure(precision, data, sizes, args.device, args.compile)
        for name, values in speeds.items():
            ratio = statistics.median(a / b for a, b in zip(speeds["zoo"], values, strict=True))
            table.add_row(
                precision,
                name,
                f"{statistics.median(values):,.0f}",
                f"{min(values):,.0f}",
                f"{max(values):,.0f}",
                "" if name == "zoo" else f"{ratio:.2f}×",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
