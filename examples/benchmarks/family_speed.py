"""Forward and backward of GPT-2, BERT and LLaMA shapes: the zoo against transformers with fused attention.

Both sides have the same weights (`zoo.from_hf` takes them over) and see the same random tokens in turn, in one
process, so that a machine whose speed drifts hurts both alike; their losses must be equal. Dropout is off on both
sides. The loss is the cross-entropy of every token; transformers computes its own from `labels`.

    python examples/benchmarks/family_speed.py                         # two CPU cores, batch 4 x 256
    python examples/benchmarks/family_speed.py --device cuda --compile --models gpt2 llama_1b --batch 16 --length 1024

On a GPU it also prints the most memory allocated and the model FLOPs utilisation: (6·N + 12·n_layers·D·T) operations a
token, halved in the second term under a causal mask, against --peak-tflops. Needs the extra `peers`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import zoo
from zoo import hardware

Step = Callable[[Tensor], Tensor]
OFF = {
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "llama": {},
}
LLAMA_1B = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "head_dim": 64, "tie_word_embeddings": True,
}  # fmt: skip
# name: configuration, model class, is it causal
MODELS: dict[str, tuple[Callable[[], Any], str, bool]] = {
    "gpt2": (lambda: transformers.GPT2Config(**OFF["gpt2"]), "GPT2LMHeadModel", True),
    "bert": (lambda: transformers.BertConfig(**OFF["bert"]), "BertForMaskedLM", False),
    "llama_1b": (lambda: transformers.LlamaConfig(**LLAMA_1B), "LlamaForCausalLM", True),
}


def both_sides(name: str, device: str) -> dict[str, tuple[nn.Module, Step]]:
    """transformers' model and the zoo's, with one set of weights: tokens [B, T] -> loss."""
    make_config, class_name, is_causal = MODELS[name]
    torch.manual_seed(0)
    theirs = getattr(transformers, class_name)._from_config(make_config(), attn_implementation="sdpa")
    _, ours = zoo.from_hf(theirs)

    def their_loss(tokens: Tensor) -> Tensor:
        return theirs(input_ids=tokens, labels=tokens, use_cache=False).loss

    def our_loss(tokens: Tensor) -> Tensor:
        hidden = ours.decode(tokens) if is_causal else ours.encode(tokens)  # [B, T, D]
        if is_causal:
            hidden, tokens = hidden[:, :-1], tokens[:, 1:]
        total = ours.head.loss(hidden.flatten(0, 1), tokens.flatten(), label_smoothing=0.0).loss
        return total / tokens.numel()

    return {"transformers": (theirs.to(device), their_loss), "zoo": (ours.to(device), our_loss)}


def measure(args: argparse.Namespace, name: str, precision: str) -> dict[str, dict[str, float]]:
    """Seconds of a step, the ratio of each pair of steps, and the most memory, by side."""
    sides = both_sides(name, args.device)
    for model, _ in sides.values():
        model.train()
        if args.compile:  # the zoo's loss calls its stack and its head by themselves
            for method in {"forward", "hidden", "decode", "encode_masked"} & set(dir(model)):
                setattr(model, method, torch.compile(getattr(model, method)))
    vocab_size = next(iter(sides.values()))[0].config.vocab_size
    generator = torch.Generator().manual_seed(1)
    batches = [
        torch.randint(5, vocab_size, (args.batch, args.length), generator=generator).to(args.device)
        for _ in range(args.steps + 2)
    ]
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    peaks = dict.fromkeys(sides, 0.0)
    losses: dict[str, float] = {}
    for i, tokens in enumerate(batches):
        for side, (model, loss) in sides.items():
            if args.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.synchronize()
            start = time.perf_counter()
            with torch.autocast(args.device, torch.bfloat16, enabled=precision == "bf16"):
                value = loss(tokens)
            value.backward()
            if args.device == "cuda":
                torch.cuda.synchronize()
                peaks[side] = max(peaks[side], torch.cuda.max_memory_allocated())
            if i >= 2:  # the first steps warm up
                seconds[side].append(time.perf_counter() - start)
            losses[side] = value.item()
            model.zero_grad(set_to_none=True)
        difference = abs(losses["zoo"] - losses["transformers"]) / losses["transformers"]
        assert difference < (1e-5 if precision == "fp32" else 1e-2), f"the losses differ: {losses}"
    ratio = statistics.median(a / b for a, b in zip(seconds["transformers"], seconds["zoo"], strict=True))
    n_parameters = sum(p.numel() for p in sides["zoo"][0].parameters())
    config = sides["transformers"][0].config
    attention = (
        12 * config.num_hidden_layers * config.hidden_size * args.length * (0.5 if MODELS[name][2] else 1)
    )
    found = {}
    for side, values in seconds.items():
        median = statistics.median(values)
        tokens_per_second = args.batch * args.length / median
        found[side] = {
            "seconds": median,
            "tokens": tokens_per_second,
            "ratio": ratio if side == "zoo" else 1.0,
            "memory": peaks[side] / 2**30,
            "mfu": tokens_per_second * (6 * n_parameters + attention) / args.peak_tflops / 1e12,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["gpt2", "bert"])
    parser.add_argument("--precisions", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument(
        "--peak-tflops", type=float, default=989.0, help="of the GPU in dense bf16 (H100, H200: 989)"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    title = f"forward + backward, {args.batch} x {args.length} tokens, {args.steps} steps each, {args.device}"
    table = Table(title=title)
    for column in ("model", "precision", "side", "median s", "tokens/s", "zoo is faster by", "GiB", "MFU"):
        table.add_column(column, justify="left" if column in ("model", "precision", "side") else "right")
    if "bf16" in args.precisions and not hardware.multiplies_bf16(args.device):
        args.precisions.remove("bf16")
        table.caption = "bf16 is left out: this machine only emulates it"
    for name in args.models:
        for precision in args.precisions:
            for side, values in measure(args, name, precision).items():
                on_gpu = args.device == "cuda"
                table.add_row(
                    name,
                    precision,
                    side,
                    f"{values['seconds']:.3f}",
                    f"{values['tokens']:,.0f}",
                    f"{values['ratio']:.2f}×" if side == "zoo" else "",
                    f"{values['memory']:.1f}" if on_gpu else "",
                    f"{values['mfu']:.1%}" if on_gpu else "",
                )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
