"""Train on the embedded corpus, measure BLEU, translate: the same calls the command line makes.

python examples/02_train_and_translate.py [STEPS]
"""

import sys
import tempfile
from pathlib import Path

import zoo

if __name__ == "__main__":
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    run = zoo.load(
        "quickstart", f"training.max_steps={steps}", "task.data.n_train=20000", "task.data.n_test=200"
    )
    with tempfile.TemporaryDirectory() as folder:
        out = zoo.train(run, Path(folder) / "run")
        results = zoo.evaluate(out)
        print("BLEU", round(results["bleu"], 1), results["bleu_signature"])
        for line in zoo.generate(out, ["The small dog sees the cat.", "I know that the old teacher sleeps."]):
            print(line)
        print(sorted(path.name for path in out.iterdir()))
