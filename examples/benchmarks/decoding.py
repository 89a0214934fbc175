"""Sentences per second of beam or greedy search: the zoo against transformers' `generate`, with equal weights.

A MarianMTModel of the sizes of `multi30k_small` gets the zoo's weights, so both sides search the same
distribution, under the same length penalty n^α (transformers knows no other), maximum length and stopping
rule, in turn, in one process; the ids that come out are compared. Both get the same batches, sentences of
like length together, unless --peer-batch-size gives transformers that many in the order of the file, as a
plain loop does.

    python examples/benchmarks/decoding.py --run RUN --source FILE

Needs the extra `peers`. A beam of 1 is greedy search on both sides. Without --run the weights are random, so every
output runs to the maximum length; without --source the sentences come from the embedded grammar.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import statistics
import time
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from zoo.assembly.build import build
from zoo.data.bad_lines import BadLines
from zoo.data.collate import length_batches
from zoo.generation.penalties.power import PowerPenaltySpec
from zoo.generation.strategies.beam import BeamSpec
from zoo.generation.strategies.greedy import GreedySpec
from zoo.kinds import CORPUS, DECODING
from zoo.masks import Mask
from zoo.run.spec import load
from zoo.run.using import TrainedRun
from zoo.special_ids import BOS, EOS, PAD

Outputs = list[list[int]]
Batch = tuple[Tensor, Tensor]
EARLY_STOPPING: dict[str, bool | str] = {"exact": "never", "estimate": False, "full": True}


def zoo_model(run: Path | None) -> nn.Module:
    """The model of a run folder with its result's weights, or multi30k_small with random ones."""
    if run is not None:
        return TrainedRun(run, device="cpu").model
    torch.manual_seed(1)
    return build(load("multi30k_small").model).eval()


def marian_model(ours: nn.Module) -> nn.Module:
    """A MarianMTModel with the weights of ours: post-norm, ReLU, shared embedding, sinusoids."""
    from transformers import MarianConfig, MarianMTModel

    first = ours.encoder.layers[0]
    sizes = {
        f"{side}_{name}": value
        for side, stack in (("encoder", ours.encoder), ("decoder", ours.decoder))
        for name, value in (
            ("layers", len(stack.layers)),
            ("attention_heads", first.self_attention.n_heads),
            ("ffn_dim", first.ffn.inner.out_features),
        )
    }
    V, D = ours.source.weight.shape
    config = MarianConfig(
        vocab_size=V,
        d_model=D,
        **sizes,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        model.model.shared.weight.copy_(ours.source.weight)
        for theirs, stack in ((model.model.encoder, ours.encoder), (model.model.decoder, ours.decoder)):
            n_positions = theirs.embed_positions.num_embeddings
            encodings = stack.position.embed(torch.zeros(1, n_positions, D), mask=Mask())
            theirs.embed_positions.weight.copy_(encodings[0])
            for copy, layer in zip(theirs.layers, stack.layers, strict=True):
                copy_layer(copy, layer)
    return model


def copy_layer(copy: nn.Module, layer: nn.Module) -> None:
    """Copies one of our layers into one of Marian's; what ours lacks, such as a bias, becomes zero."""
    norms = list(layer.layout.norms)
    copy_norm(copy.self_attn_layer_norm, norms[0])
    copy_norm(copy.final_layer_norm, norms[-1])
    copy_linear(copy.fc1, layer.ffn.inner)
    copy_linear(copy.fc2, layer.ffn.outer)
    attentions = [(copy.self_attn, layer.self_attention)]
    if layer.cross_attention is not None:
        copy_norm(copy.encoder_attn_layer_norm, norms[1])
        attentions.append((copy.encoder_attn, layer.cross_attention))
    for theirs, ours in attentions:
        copy_linear(theirs.q_proj, ours.query)
        copy_linear(theirs.k_proj, ours.key)
        copy_linear(theirs.v_proj, ours.value)
        copy_linear(theirs.out_proj, ours.output)


def copy_linear(copy: nn.Linear, linear: nn.Linear) -> None:
    copy.weight.copy_(linear.weight)
    copy.bias.zero_() if linear.bias is None else copy.bias.copy_(linear.bias)


def copy_norm(copy: nn.LayerNorm, norm: nn.Module) -> None:
    copy.weight.copy_(norm.weight)
    copy.bias.copy_(norm.bias)
    copy.eps = norm.eps


def zoo_side(model: nn.Module, args: argparse.Namespace) -> Callable[[Batch], Outputs]:
    beam = BeamSpec(
        beam_size=args.beam_size,
        length_penalty=PowerPenaltySpec(alpha=args.alpha),
        max_length=args.max_length,
        stop=args.stop,
    )
    search = DECODING.build(beam if args.beam_size > 1 else GreedySpec(max_length=args.max_length))
    return lambda batch: [hypotheses[0].tokens for hypotheses in search(model, *batch)]


def marian_side(model: nn.Module, args: argparse.Namespace) -> Callable[[Batch], Outputs]:
    from transformers import LogitsProcessor, LogitsProcessorList

    class EndAtTheLimit(LogitsProcessor):
        """As in the zoo: at the maximum length only the end may follow, at its own probability."""

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            scores[:, [PAD, BOS]] = -math.inf  # transformers, too, does this after normalising
            if input_ids.shape[1] == args.max_length + 1:
                ends = scores[:, EOS].clone()
                scores.fill_(-math.inf)
                scores[:, EOS] = ends
            return scores

    processors = LogitsProcessorList([EndAtTheLimit()])

    def translate(batch: Batch) -> Outputs:
        source, mask = batch
        found = model.generate(
            input_ids=source,
            attention_mask=mask.long(),
            num_beams=args.beam_size,
            length_penalty=args.alpha,
            early_stopping=EARLY_STOPPING[args.stop],
            max_length=args.max_length + 2,  # with begin and end
            logits_processor=processors,
        )
        return [[token for token in row if token not in (PAD, BOS, EOS)] for row in found.tolist()]

    return translate


def read_sentences(args: argparse.Namespace) -> list[str]:
    if args.source is None:
        corpus = CORPUS.build(CORPUS.entry("grammar").spec(source_language="de", n_test=args.sentences))
        return [row["source"] for row in corpus.rows("test", bad_lines=BadLines("error"))]
    open_text = gzip.open if args.source.suffix == ".gz" else open
    with open_text(args.source, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in islice(file, args.sentences)]


def tokenise(sentences: list[str], run: Path | None, vocab_size: int) -> list[list[int]]:
    if run is None:  # random weights know no words: any fixed id will do
        rows = [[4 + zlib.crc32(w.encode()) % (vocab_size - 4) for w in s.split()] for s in sentences]
    else:
        rows = TrainedRun(run).task.tokenizers[0].encode(sentences)
    return [[*row, EOS] for row in rows]


def padded(rows: list[list[int]], indices: list[int], device: str) -> Batch:
    S = max(len(rows[i]) for i in indices)
    source = torch.tensor([rows[i] + [PAD] * (S - len(rows[i])) for i in indices], device=device)
    return source, source != PAD


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, help="run folder of a model like multi30k_small (default: random weights)"
    )
    parser.add_argument("--source", type=Path, help="text file, plain or .gz, one sentence a line")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--beam-size", type=int, default=4)
    parser.add_argument("--alpha", type=float, default=1.0, help="of the penalty n^alpha, on both sides")
    parser.add_argument(
        "--stop", choices=list(EARLY_STOPPING), default="estimate", help="estimate: transformers' own"
    )
    parser.add_argument("--max-length", type=int, default=60, help="tokens of an output")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="source tokens of a batch")
    parser.add_argument(
        "--peer-batch-size", type=int, help="sentences of a batch of transformers, in file order"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="rows of figures in place of the table")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    ours = zoo_model(args.run).to(args.device)
    sides = {
        "zoo": zoo_side(ours, args),
        "transformers": marian_side(marian_model(ours).to(args.device), args),
    }
    rows = tokenise(read_sentences(args), args.run, ours.source.weight.shape[0])
    like_length = length_batches([len(row) for row in rows], args.batch_tokens)
    batches = dict.fromkeys(sides, like_length)
    if n := args.peer_batch_size:
        batches["transformers"] = [list(range(len(rows)))[i : i + n] for i in range(0, len(rows), n)]

    seconds: dict[str, list[float]] = {name: [] for name in sides}
    outputs: dict[str, Outputs] = {name: [[] for _ in rows] for name in sides}
    for side in sides.values():
        side(padded(rows, like_length[-1], args.device))  # warm up
    for _ in range(args.rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            for indices in batches[name]:
                found = side(padded(rows, indices, args.device))  # ids as lists: no work is left under way
                for i, tokens in zip(indices, found, strict=True):
                    outputs[name][i] = tokens
            seconds[name].append(time.perf_counter() - start)

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    n_equal = sum(a == b for a, b in zip(outputs["zoo"], outputs["transformers"], strict=True))
    if args.json:
        rows_of_json = [
            {
                "side": name,
                "sentences_per_second": len(rows) / median,
                "times_as_fast": medians["transformers"] / median,
                "equal_outputs": n_equal / len(rows),
            }
            for name, median in medians.items()
        ]
        print(json.dumps(rows_of_json))
        return
    table = Table(
        title=f"{len(rows)} sentences, beam {args.beam_size}, n^{args.alpha}, stop: {args.stop}, fp32"
    )
    for column in ("", "seconds", "sentences/s", "tokens out", "times transformers"):
        table.add_column(column, justify="left" if not column else "right")
    for name, median in medians.items():
        n_tokens = sum(len(tokens) + 1 for tokens in outputs[name])
        ratio = medians["transformers"] / median
        table.add_row(name, f"{median:.2f}", f"{len(rows) / median:.0f}", f"{n_tokens}", f"{ratio:.2f}")
    console = Console()
    console.print(table)
    console.print(f"equal outputs: {n_equal} of {len(rows)} ({100 * n_equal / len(rows):.1f} %)")
    device = torch.cuda.get_device_name() if args.device == "cuda" else f"{args.threads} CPU threads"
    console.print(f"medians of {args.rounds} rounds in turn, {device}, batches of {args.batch_tokens} tokens")


if __name__ == "__main__":
    main()
