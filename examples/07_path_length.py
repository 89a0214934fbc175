"""How far mixers remember: trains ablations/long_range.yaml, draws accuracy and maximum path length by length.

`python 07_path_length.py figure.svg` writes figure.svg and figure-path.svg; another task: `python 07_path_length.py
figure.svg task.data.type=induction`. The runs lie beside the figures, and what is trained is not trained anew; `zoo
report figure` compares them.
"""

import json
import sys
from pathlib import Path

import zoo
from zoo.drawing.forms import drawn
from zoo.drawing.line_chart import Axis, Line, line_chart

ABLATION = Path(__file__).parent / "ablations" / "long_range.yaml"


def progress(trial, outcome):
    print(f"{trial.variant}, seed {trial.seed}: {outcome.status if outcome else 'training'}", flush=True)


name, *overrides = sys.argv[1:] or ["path_length.svg"]
figure = Path(name)
runs = figure.with_suffix("")
results = zoo.ablate(ABLATION, *overrides, out=runs, report=progress)
accuracy, path = {}, {}  # by variant: points of length and value
for variant in results.plan.variants:
    trials = [trial for trial in results.of(variant.name) if trial.status == "done"]
    found = [json.loads((runs / trial.run / "results.json").read_text())["by_length"] for trial in trials]
    lengths = [int(length) for length in found[0]["accuracy"]]
    title = "attention" if variant.name == "base" else variant.name
    means = {n: sum(each["accuracy"][str(n)] for each in found) / len(found) for n in lengths}
    ways = {n: zoo.cost(variant.run.model, length=n).path for n in lengths}
    accuracy[title], path[title] = tuple(means.items()), tuple(ways.items())
    print(title, *(f"{n}: {means[n]:.1f} %, path {ways[n]}" for n in lengths), sep="  ")

x = Axis("Length (tokens)", is_log=True, ticks=tuple(lengths))
charts = {
    figure: ("Accuracy", accuracy, Axis("Accuracy (%)")),
    figure.with_stem(f"{figure.stem}-path"): ("Path", path, Axis("Maximum path length", is_log=True)),
}
for file, (what, values, y) in charts.items():
    lines = [Line(title, points, marks=points) for title, points in values.items()]
    file.write_bytes(drawn(line_chart(lines, title=what, x=x, y=y), file.suffix))
    print(f"written: {file}")
