"""Whole documents by restricted attention against documents cut to 512 tokens: accuracy, time and memory.

    python examples/benchmarks/long_documents.py --data FOLDER --epochs 4 --seeds 1 2 3

FOLDER holds train.tsv and dev.tsv (or .gz): a class and a text on each line. All models are the preset
long_text_classifier, with the same parameters, learning rate and number of documents a step, so that equal epochs
are equal steps; they differ in how much of a document they read and in how far a token sees. Accuracy is that of the
last step on all of dev, with nothing chosen by it. Time and memory are of one training step on as many documents of
full length, in a fresh process: the median of some, and the growth of the process's peak resident size (Linux).
TF-IDF of words and pairs of words with logistic regression, on the same files, stands beside them where scikit-learn
is there (the extra `peers`).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table

import zoo
from zoo import hardware


class Case(NamedTuple):
    """How much of a document a model reads, and how."""

    length: int
    truncation: str
    attention: str


def cases(short: int, long: int, radius: int) -> dict[str, Case]:
    """The four, by what they are called."""
    full, restricted = "{type: multi_head, n_heads: 4}", f"{{type: restricted, n_heads: 4, radius: {radius}}}"
    return {
        f"first {short:,}, full": Case(short, "head", full),
        f"first and last, {short:,}, full": Case(short, "head_and_tail", full),
        f"{long:,}, restricted": Case(long, "head_and_tail", restricted),
        f"{long:,}, full": Case(long, "head_and_tail", full),
    }


def run_of(case: Case, options: argparse.Namespace, *, seed: int) -> Any:
    """The whole run of a case."""
    files = {split: path_of(options.data, split) for split in ("train", "dev")}
    rows = read(files["train"])
    n_steps = max(1, round(options.epochs * len(rows) / options.rows))
    return zoo.load(
        "long_text_classifier",
        *options.override,
        f"model.head.n_classes={len({label for label, _ in rows})}",
        f"model.encoder.layer.self_attention={case.attention}",
        f"task.max_length={case.length}",
        f"task.truncation={case.truncation}",
        f"task.data={{type: columns, train: {files['train']}, dev: {files['dev']}, columns: [label, text]}}",
        f"training.rows_per_batch={options.rows}",
        f"training.tokens_per_batch={options.rows * case.length}",
        f"training.max_steps={n_steps}",
        f"training.schedule.warmup_steps={max(1, n_steps // 6)}",
        f"training.validate_every={n_steps}",
        f"training.checkpoint_every={n_steps}",
        f"training.seed={seed}",
        "training.accelerator=cpu",
    )


def path_of(folder: Path, split: str) -> Path:
    """The file of a split, plain or gzipped."""
    found = [path for path in (folder / f"{split}.tsv", folder / f"{split}.tsv.gz") if path.is_file()]
    if not found:
        sys.exit(f"{folder} holds neither {split}.tsv nor {split}.tsv.gz")
    return found[0]


def read(path: Path) -> list[tuple[str, str]]:
    """Label and text of every line."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = text.decode().removesuffix("\n").split("\n")
    return [(label, rest) for label, _, rest in (line.partition("\t") for line in lines)]


def peak() -> int:
    """Most bytes that this process has held so far; getrusage would begin at the parent's peak."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 2**10 * int(status["VmHWM"].split()[0])


def cost(run: Any, *, repeats: int) -> dict[str, float]:
    """Seconds of a training step on documents of full length, and the megabytes that it takes beyond the weights."""
    model = zoo.build(run.model).train()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    is_half = hardware.precision().value == "bf16-mixed"

    def step(length: int) -> float:
        tokens = torch.randint(4, run.model.inputs.vocab_size, (run.training.rows_per_batch, length))
        labels = torch.zeros(len(tokens), dtype=torch.int64)
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            hidden, mask = model.hidden(tokens)
            loss = model.head.loss(hidden, labels, mask=mask, label_smoothing=0.0).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - start

    step(8)  # what any step needs: the optimizer's state, the kernels' code
    before = peak()
    seconds = [step(run.task.max_length) for _ in range(repeats)]
    return {"step": statistics.median(seconds), "memory": (peak() - before) / 1e6}


def measure(name: str, options: argparse.Namespace, *, seed: int | None) -> dict[str, float]:
    """What a case costs, or with a seed what it learns; in this process."""
    run = run_of(cases(*options.sizes)[name], options, seed=seed or 0)
    if seed is None:
        return {**cost(run, repeats=options.repeats), "parameters": zoo.n_parameters(run.model)}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        out = zoo.train(run, Path(folder) / "run", progress=False)
        seconds = time.perf_counter() - start
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    (accuracy,) = [line["accuracy"] for line in lines if "accuracy" in line]
    return {"accuracy": accuracy, "seconds": seconds, "steps": run.training.max_steps}


def in_fresh_process(name: str, seed: int | None) -> dict[str, float]:
    command = [sys.executable, *sys.argv, "--here", name, *([] if seed is None else ["--seed", str(seed)])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def tf_idf(folder: Path) -> str:
    """Accuracy and seconds of what a user would try first, as text."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
    except ImportError:
        return "left out, for scikit-learn is not there: pip install '.[peers]'"
    (labels, texts), (dev_labels, dev_texts) = (
        zip(*read(path_of(folder, split)), strict=True) for split in ("train", "dev")
    )
    start = time.perf_counter()
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=10.0, max_iter=1000)).fit(texts, labels)
    accuracy = model.score(dev_texts, dev_labels)
    return f"{100 * accuracy:.1f} % in {time.perf_counter() - start:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv, or .gz")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--rows", type=int, default=8, help="documents a step")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--sizes", type=int, nargs=3, default=[512, 2048, 32], metavar=("SHORT", "LONG", "RADIUS")
    )
    parser.add_argument(
        "--learn", type=int, nargs="+", default=[0, 1, 2], help="cases that are trained, from 0"
    )
    parser.add_argument("--repeats", type=int, default=5, help="steps that are timed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--override", nargs="*", default=[], help="further KEY=VALUE of the runs")
    parser.add_argument("--here", help=argparse.SUPPRESS)  # what in_fresh_process asks of its process
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    if options.here:
        print(json.dumps(measure(options.here, options, seed=options.seed)))
        return

    console = Console(width=130)
    console.print(f"TF-IDF and logistic regression: {tf_idf(options.data)}")
    names = list(cases(*options.sizes))
    costs = {name: in_fresh_process(name, None) for name in names}
    learnt: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for seed in options.seeds:  # in turns, so that a machine whose speed drifts hurts all alike
        for name in (names[i] for i in options.learn):
            learnt[name].append(in_fresh_process(name, seed))
            console.print(f"seed {seed}, {name}: {learnt[name][-1]}", highlight=False)
    choice = hardware.precision().value
    table = Table(title=f"{options.rows} documents a step, {choice}, threads: {options.threads}")
    table.add_column("tokens, attention")
    for column in ("parameters", "step, s", "step's memory, MB", "steps", "minutes", "accuracy, %"):
        table.add_column(column, justify="right")
    for name in names:
        table.add_row(name, f"{costs[name]['parameters']:,}", f"{costs[name]['step']:.2f}",
                      f"{costs[name]['memory']:.0f}", *summary(learnt[name]))  # fmt: skip
    console.print(table)


def summary(runs: list[dict[str, float]]) -> list[str]:
    """Steps, minutes and the accuracies of some runs of one case."""
    if not runs:
        return ["", "", "not trained"]
    each = [run["accuracy"] for run in runs]
    listed = ", ".join(f"{accuracy:.1f}" for accuracy in each)
    minutes = statistics.mean(run["seconds"] for run in runs) / 60
    mean = f"{statistics.mean(each):.1f} ({listed})" if len(each) > 1 else listed
    return [f"{runs[0]['steps']:.0f}", f"{minutes:.1f}", mean]


if __name__ == "__main__":
    main()
