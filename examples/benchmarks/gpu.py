"""Everything that is owed of a GPU, in one run of at most 8 minutes: one table, and a JSON file that it resumes from.

Training steps (bfloat16, compiled, fused optimizer) against torch.nn.Transformer or transformers with the same
treatment, both in one process, the models taking turns; decoding against transformers' generate; restricted against
full attention; and the tests marked gpu.

    python examples/benchmarks/gpu.py --out gpu.json                       # on a machine with a GPU and this project
    python examples/benchmarks/gpu.py --out gpu.json --wheels wheels       # on one that has torch, but not the rest
    python examples/benchmarks/gpu.py --out toy.json --toy                 # on a CPU, small: that it works

A run that is cut off goes on with what is left, and tries again what has failed, when it is started again with the same
file. --wheels installs what is missing from a folder of wheels, without a network: `pip download -d wheels` of what
`pip install -e .[test,peers]` would fetch fills it. Model FLOPs utilisation: (6 · N + 12 · n_layers · D · T) operations
a token, the second term halved under a causal mask, against --peak-tflops; a token of a translator meets half of N.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    "pydantic",
    "yaml",
    "lightning",
    "sentencepiece",
    "sacrebleu",
    "rich",
    "typer",
    "transformers",
    "pytest",
    "hypothesis",
)
Row = dict[str, Any]


def install(wheels: Path) -> None:
    """Installs what is missing, and what that needs, from a folder of wheels."""
    names = {"yaml": "pyyaml"}
    missing = [names.get(name, name) for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--find-links", str(wheels)]
        subprocess.run([*pip, *missing], check=True)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own, which finds this checkout though it be not installed."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )


# Training steps


def pair_of_translators(preset: str, toy: bool) -> tuple[dict[str, Any], Any, int, float]:
    """torch.nn.Transformer and the zoo's of the same sizes, each with its loss; batches; tokens; FLOPs of a token."""
    import training_speed

    import zoo

    run = zoo.load(preset, scale="tiny" if toy else None).model
    layer = run.encoder.each_layer()[0]
    sizes = {
        "d_model": run.d_model,
        "layers": len(run.encoder.each_layer()),
        "heads": layer.self_attention.n_heads,
        "d_ff": layer.ffn.d_ff,
        "vocab": run.source.vocab_size,
    }
    sides = {
        "torch.nn.Transformer": training_speed.torch_model(sizes),
        "zoo": training_speed.our_model(sizes),
    }
    rows, length = (4, 16) if toy else (390, 64)  # 25,000 tokens a side

    def make(generator: Any) -> Any:
        import torch

        source = torch.randint(4, sizes["vocab"], (rows, length), generator=generator)
        real = torch.ones_like(source, dtype=torch.bool)
        target = source.flip(1)
        return training_speed.Batch(source, real, target, target.roll(-1, 1), real, rows * length)

    n_parameters = sum(p.numel() for p in sides["zoo"][0].parameters())
    # Of each two tokens one goes through the encoder, one through the decoder and its two attentions.
    attention = 12 * sizes["layers"] * sizes["d_model"] * length * (1 + 0.5 + 1) / 2
    return sides, make, 2 * rows * length, 6 * n_parameters / 2 + attention


def pair_of_models(name: str, toy: bool) -> tuple[dict[str, Any], Any, int, float]:
    """transformers' model and the zoo's with its weights, each with its loss; batches; tokens; FLOPs of a token."""
    import torch
    import transformers

    import zoo

    small = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64}
    if name == "gpt2":
        config = transformers.GPT2Config(
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
            **({"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 99} if toy else {}),
        )  # fmt: skip
        theirs: Any = transformers.GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")
    elif name == "llama_1b":
        sizes = {
            "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
            "num_key_value_heads": 8, "vocab_size": 128256, "head_dim": 64, "tie_word_embeddings": True,
        }  # fmt: skip
        small_llama = {**small, "num_key_value_heads": 2, "vocab_size": 99, "head_dim": 8}
        config = transformers.LlamaConfig(**(small_llama if toy else sizes))
        theirs = transformers.LlamaForCausalLM._from_config(config, attn_implementation="sdpa")
    elif name == "bert_base":
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = transformers.BertConfig(**off, **({**small, "vocab_size": 99} if toy else {}))
        theirs = transformers.BertForMaskedLM._from_config(config, attn_implementation="sdpa")
    else:
        config = transformers.ViTConfig(
            num_labels=1000, **({**small, "image_size": 32, "patch_size": 16} if toy else {})
        )
        theirs = transformers.ViTForImageClassification._from_config(config, attn_implementation="sdpa")
    _, ours = zoo.from_hf(theirs)
    is_vision, is_causal = name == "vit_base", name in ("gpt2", "llama_1b")
    rows, length = (2, 16) if toy else {"gpt2": (16, 1024), "llama_1b": (4, 2048)}.get(name, (64, 512))
    if is_vision:
        rows, length = (2, 5) if toy else (128, 197)

    def make(generator: Any) -> Any:
        if not is_vision:
            return torch.randint(5, config.vocab_size, (rows, length), generator=generator)
        return torch.randn(rows, 3, config.image_size, config.image_size, generator=generator)

    def their_loss(x: Any) -> Any:
        if is_vision:
            return theirs(pixel_values=x, labels=torch.zeros(len(x), dtype=torch.long, device=x.device)).loss
        return theirs(input_ids=x, labels=x, **({"use_cache": False} if is_causal else {})).loss

    def our_loss(x: Any) -> Any:
        if is_vision:
            labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
            return torch.nn.functional.cross_entropy(ours(x).float(), labels)
        hidden, _ = ours.hidden(x)  # [B, T, D]
        if is_causal:
            hidden, x = hidden[:, :-1], x[:, 1:]
        sums = ours.head.loss(hidden.flatten(0, 1), x.flatten(), label_smoothing=0.0)
        return sums.loss / sums.count

    n_parameters = sum(p.numel() for p in ours.parameters())
    attention = 12 * config.num_hidden_layers * config.hidden_size * length * (0.5 if is_causal else 1.0)
    sides = {"transformers": (theirs, their_loss), "zoo": (ours, our_loss)}
    return sides, make, rows * length, 6 * n_parameters + attention


def steps(name: str, args: argparse.Namespace) -> list[Row]:
    """Whole training steps of both sides: forward, backward, clipping, a fused Adam update."""
    import torch

    pair = pair_of_translators if name.startswith("transformer_") else pair_of_models
    sides, make, n_tokens, flops = pair(name, args.toy)
    device, is_cuda = args.device, args.device == "cuda"
    optimizers = {}
    for side, (model, loss) in sides.items():
        model.to(device).train()
        optimizers[side] = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
        if is_cuda:
            sides[side] = (model, torch.compile(loss))
    generator = torch.Generator().manual_seed(1)
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    peaks = dict.fromkeys(sides, 0)
    n_warm = 3
    for i in range(n_warm + args.steps):
        batch = make(generator)
        batch = (
            type(batch)(*(_to(x, device) for x in batch)) if isinstance(batch, tuple) else batch.to(device)
        )
        for side, (model, loss) in sides.items():
            if is_cuda:
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.synchronize()
            start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=is_cuda):
                value = loss(batch)
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizers[side].step()
            optimizers[side].zero_grad(set_to_none=True)
            if is_cuda:
                torch.cuda.synchronize()
                peaks[side] = max(peaks[side], torch.cuda.max_memory_allocated())
            if i >= n_warm:
                seconds[side].append(time.perf_counter() - start)
    other = next(iter(sides))
    ratio = statistics.median(a / b for a, b in zip(seconds[other], seconds["zoo"], strict=True))
    found = []
    for side, values in seconds.items():
        speed = n_tokens / statistics.median(values)
        row: Row = {"case": name, "side": side, "tokens_per_second": speed, "gib": peaks[side] / 2**30}
        row["utilisation"] = speed * flops / args.peak_tflops / 1e12
        found.append({**row, "times_as_fast": ratio} if side == "zoo" else row)
    return found


def _to(x: Any, device: str) -> Any:
    return x.to(device) if hasattr(x, "to") else x


# Decoding


def decoding(name: str, args: argparse.Namespace) -> list[Row]:
    """Sentences a second of a beam of 4 and of greedy search against transformers' generate with the same weights."""
    script = str(ROOT / "examples" / "benchmarks" / "decoding.py")
    toy = ["--sentences", "2", "--max-length", "4", "--rounds", "1"]
    size = toy if args.toy else ["--sentences", "512"]
    found = []
    for search, beam_size in (("beam 4", "4"), ("greedy", "1")):
        done = python(script, "--device", args.device, "--beam-size", beam_size, "--json", *size)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        found += [{"case": f"{name}, {search}", **row} for row in json.loads(done.stdout)]
    return found


# Attention


def attention(name: str, args: argparse.Namespace) -> list[Row]:
    """Milliseconds and megabytes of restricted and full attention by length, forward and backward."""
    import restricted_attention

    lengths = (256, 512) if args.toy else (8192, 16384, 32768, 65536)
    kernels = ("sdpa", "blocked", "flex") if args.device == "cuda" else ("sdpa", "blocked")
    found = []
    for length in lengths:
        for kernel in kernels:
            step = restricted_attention.Step(kernel, length, args)
            times = [step() for _ in range(2 + args.steps)][2:]
            found.append(
                {
                    "case": f"{name} {length}",
                    "side": kernel,
                    "ms": statistics.median(times),
                    "mb": step.peak(),
                }
            )
            del step
    return found


# Tests


def marked_tests(name: str, args: argparse.Namespace) -> list[Row]:
    """What pytest says of the tests marked gpu."""
    files = [
        str(file) for file in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in file.read_text()
    ]
    one_by_one = "addopts=--import-mode=importlib --strict-markers"  # they share the device
    toy = ["--collect-only"] if args.toy else []
    done = python("-m", "pytest", "-q", "-o", one_by_one, "-m", "gpu", *toy, *files)
    if done.returncode > 1:  # 1: some have failed, which the last line says
        raise RuntimeError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])
    return [{"case": name, "printed": done.stdout.strip().splitlines()[-1]}]


CASES: dict[str, Callable[[str, argparse.Namespace], list[Row]]] = {
    **dict.fromkeys(
        ("transformer_base", "gpt2", "bert_base", "vit_base", "transformer_big", "llama_1b"), steps
    ),
    "decoding": decoding,
    "attention": attention,
    "tests": marked_tests,
}


def run(args: argparse.Namespace) -> Iterator[tuple[str, list[Row]]]:
    """Each case; what the file does not hold yet, or holds as failed, is measured, and the file written after each."""
    import torch

    known = json.loads(args.out.read_text()) if args.out.exists() else {"device": "", "cases": {}}
    known["device"] = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    started = time.monotonic()
    for name in args.cases or CASES:
        if any("failed" in row for row in known["cases"].get(name, [{"failed": "not yet begun"}])):
            if time.monotonic() - started > 60 * args.minutes:
                print(
                    f"{args.minutes} minutes are over: {name} and what follows is left; start again",
                    file=sys.stderr,
                )
                return
            try:
                known["cases"][name] = CASES[name](name, args)
            except Exception as error:  # the others are worth having
                known["cases"][name] = [{"case": name, "failed": f"{type(error).__name__}: {error}"[:300]}]
            args.out.write_text(json.dumps(known, indent=1))
            if args.device == "cuda":
                torch.cuda.empty_cache()
        yield name, known["cases"][name]


def table(rows: list[Row]) -> str:
    """The rows under one heading, each column as wide as what stands in it."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns] + [
        [f"{value:,.4g}" if isinstance(value := row.get(key, ""), float) else str(value) for key in columns]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the file of results")
    parser.add_argument("--cases", nargs="+", choices=CASES, help="only these")
    parser.add_argument("--toy", action="store_true", help="small sizes, on the CPU")
    parser.add_argument("--minutes", type=float, default=7.0, help="no case begins later")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--wheels", type=Path, help="a folder of wheels to install what is missing from")
    parser.add_argument("--radius", type=int, default=64, help="of restricted attention")
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="dense bf16 (H100, H200: 989)")
    args = parser.parse_args()
    if args.wheels:
        install(args.wheels)
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    args.device = "cpu" if args.toy else "cuda"
    args.steps = min(args.steps, 2) if args.toy else args.steps
    found: list[Row] = []
    for name, rows in run(args):
        print(f"{name}: {len(rows)} rows", file=sys.stderr, flush=True)
        found += rows
    print(table(found))


if __name__ == "__main__":
    main()
