"""What the presets of each task learn from real data in minutes: the trainings of README's table, as commands.

    python examples/benchmarks/tasks.py --data FOLDER                      # all of them, one after the other
    python examples/benchmarks/tasks.py --data FOLDER --only tags digits   # some
    python examples/benchmarks/tasks.py --list                             # the commands alone
    python examples/benchmarks/tasks.py --data FOLDER --steps 60           # cut short: how fast they are here

FOLDER holds a folder for each set, by the names below: files as their publishers have them, or cut to what trains in
minutes. Each is trained by `zoo train` in a process of its own, on as many threads as OMP_NUM_THREADS says; its row
gives steps, tokens a second (the median), minutes and the scores of each validation, on dev. The exit code is 1 where
one has failed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SENTENCES = "task.data={type: columns, train: DATA/SET/train.tsv.gz, dev: DATA/SET/dev.tsv.gz, columns: [label, text]}"
TRAININGS: dict[str, tuple[str, ...]] = {
    "characters": ("char_gpt", "task.data.train=DATA/lm-tinyshakespeare/input.txt.gz"),
    "tags": (
        *("tagger_small", "model.head.n_classes=17", "task.metric={type: tagging}"),
        "task.data={type: conll, train: DATA/tag-ud-english-ewt/train.conll8.gz, "
        "dev: DATA/tag-ud-english-ewt/dev.conll8.gz, columns: {tokens: 2, tags: 4}}",
    ),
    "reviews": ("text_classifier_small", "model.head.n_classes=2", SENTENCES.replace("SET", "cls-mr")),
    "subjectivity": ("text_classifier_small", "model.head.n_classes=2", SENTENCES.replace("SET", "cls-subj")),
    "digits": (
        *("spoken_digits", "model.head.n_classes=10", "task.sound.sample_rate=8000"),
        "task.data={type: wav_folder, train: DATA/audio-fsdd/train.tar.gz, dev: DATA/audio-fsdd/dev.tar.gz, "
        "pattern: '{label}_{speaker}_{index}.wav'}",
    ),
    "clothes": (
        "vit_small_fashion",
        "task.data={type: idx, folder: DATA/vision-fashion-mnist, dev: val, test: null}",
    ),
    "series": ("patch_tst", "task.data.path=DATA/series-etth1/ETTh1.csv.gz"),
    "written_series": (
        *("series_decoder", "task.data.path=DATA/series-etth1/ETTh1.csv.gz", "training.precision=fp32"),
    ),
    "trees": (
        *("parser_paper", "--scale", "small", "task.leaves=tags"),
        "task.data={type: brackets, train: DATA/parse-gum/train.tsv.gz, dev: DATA/parse-gum/dev.tsv.gz, column: 2}",
    ),
    "English-French": (
        *(
            "multi30k_small",
            "--scale",
            "minutes",
            "training.max_steps=4000",
            "training.schedule.warmup_steps=400",
        ),
        "training.validate_every=1000",
        "task.data={type: tab_separated, train: DATA/mt-tatoeba-eng-fra/train.tsv.gz, "
        "dev: DATA/mt-tatoeba-eng-fra/dev.tsv.gz}",
    ),
    "Korean-English": (
        *("multi30k_small", "--scale", "minutes", "training.max_steps=5000", "training.validate_every=500"),
        *("model.source.vocab_size=2000", "model.encoder.layer.dropout=0.3"),
        "task.data={type: tab_separated, train: DATA/mt-tatoeba-eng-kor/train.tsv.gz, "
        "dev: DATA/mt-tatoeba-eng-kor/dev.tsv.gz, source_column: 2, target_column: 1}",
    ),
}
_NO_SCORE = {"kind", "step", "epoch", "seconds"}


def command(name: str, data: Path, out: Path, steps: int | None) -> list[str]:
    """`zoo train` and its words."""
    words = [word.replace("DATA", str(data)) for word in TRAININGS[name]]
    cut = [] if steps is None else [f"training.max_steps={steps}", f"training.validate_every={steps}"]
    return ["zoo", "train", *words, *cut, "--out", str(out)]


def row_of(run: Path, minutes: float) -> dict[str, Any]:
    """What a run's metrics say."""
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    speeds = [each["tokens_per_second"] for each in found if each["kind"] == "train"]
    return {
        "steps": found[-1]["step"],
        "tokens_per_second": round(statistics.median(speeds)),
        "minutes": round(minutes, 1),
        "dev": {
            each["step"]: {key: round(value, 4) for key, value in each.items() if key not in _NO_SCORE}
            for each in found
            if each["kind"] == "validation"
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("DATA"))
    parser.add_argument("--out", type=Path, default=Path("runs/tasks"))
    parser.add_argument("--only", nargs="+", choices=TRAININGS, default=list(TRAININGS))
    parser.add_argument("--steps", type=int, help="so many in place of each training's own")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if not args.list and not args.data.is_dir():
        parser.error(f"--data {args.data}: there is no such folder; --list tells what lies in it")
    n_failed = 0
    for name in args.only:
        run = args.out / name
        words = command(name, args.data, run, args.steps)
        print(f"{name}: {shlex.join(words)}", flush=True)
        if args.list:
            continue
        started = time.monotonic()
        main_module = [sys.executable, "-m", "zoo.cli.main", *words[1:], "--quiet"]
        done = subprocess.run(main_module, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr.strip() or done.stdout.strip(), file=sys.stderr)
            n_failed += 1
        else:
            print(json.dumps(row_of(run, (time.monotonic() - started) / 60)), flush=True)
    return min(n_failed, 1)


if __name__ == "__main__":
    sys.exit(main())
