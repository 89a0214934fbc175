"""How far mixers remember: trains ablations/long_range.yaml, draws accuracy and maximum path length by length.

`python 07_path_length.py figure.svg`; another task: `python 07_path_length.py figure.svg task.data.type=induction`.
The runs lie beside the figure, and what is trained is not trained anew; `zoo report figure` compares them.
"""

import json
import sys
from pathlib import Path

import zoo
from zoo.drawing.legends import add_legend
from zoo.drawing.shapes import Drawing, Mark, Scale, axes, scale_of
from zoo.drawing.shapes import Path as Line
from zoo.drawing.svg import svg

ABLATION = Path(__file__).parent / "ablations" / "long_range.yaml"
LEFT, RIGHT = 58.0, 608.0


def progress(trial, outcome):
    print(f"{trial.variant}, seed {trial.seed}: {outcome.status if outcome else 'training'}", flush=True)


figure, *overrides = sys.argv[1:] or ["path_length.svg"]
runs = Path(figure).with_suffix("")
results = zoo.ablate(ABLATION, *overrides, out=runs, report=progress)
accuracy, path = {}, {}  # by variant, then by length
for variant in results.plan.variants:
    trials = [trial for trial in results.of(variant.name) if trial.status == "done"]
    found = [json.loads((runs / trial.run / "results.json").read_text())["by_length"] for trial in trials]
    lengths = [int(length) for length in found[0]["accuracy"]]
    means = {n: sum(each["accuracy"][str(n)] for each in found) / len(found) for n in lengths}
    accuracy[variant.name] = means
    path[variant.name] = {n: zoo.cost(variant.run.model, length=n).path for n in lengths}
    told = [f"{n}: {means[n]:.1f} %, path {path[variant.name][n]}" for n in lengths]
    print(variant.name, *told, sep="  ")

drawing = Drawing(RIGHT + 12, 500, "Accuracy and maximum path length, by length", tuple(accuracy))
x = scale_of(lengths, LEFT, RIGHT, is_log=True, marked=tuple(lengths))
ways = scale_of([n for each in path.values() for n in each.values()], 454, 300, is_log=True)
for title, values, y in (("Accuracy, %", accuracy, Scale(0, 104, 250, 14)), ("Path length", path, ways)):
    axes(drawing, x, y, x_title="Length, tokens", y_title=title)
    for number, points in enumerate(values.values()):
        places = tuple((x(length), y(value)) for length, value in points.items())
        drawing.shapes.append(Line(places, "line", number))
        drawing.shapes += [Mark(place, number) for place in places]
add_legend(drawing, list(enumerate(["attention", *list(accuracy)[1:]])))
Path(figure).write_text(svg(drawing, is_file=True), encoding="utf-8")
print(f"written: {figure}")
