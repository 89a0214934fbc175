"""Transformers from parts: specs in YAML, checked, built, trained, used, and exchanged with transformers.

    load          a preset's name, a file, a run folder or a mapping, with overrides, as a RunSpec
    build         a spec's model, a torch.nn.Module
    train         train a run in a folder of its own; gives the folder
    resume        go on with a run from its newest checkpoint
    lightning     a run's LightningModule and LightningDataModule, for a Trainer of your own
    evaluate      score a run's model on a test set
    generate      a run's best output for each line of text
    predict       what a model answers to each row: labels, tags, texts, numbers; or a vector for each
    attention_maps  what a model attends to in an input: weights by layer and head, with the tokens' texts
    attention_weights  the same of any model for tensors, without texts
    open          a run folder or an imported checkpoint, to use more than once: model, tokenizer, task, spec
    TrainedRun    what `open` gives
    ablate        train a base and its variants with several seeds each, and compare them; goes on after a kill
    plan_ablation what an ablation would do: variants, matched and costed, and every training
    export        a run's model as files: transformers', safetensors, ONNX, a program of torch.export; checked
    from_hf       a transformers model or checkpoint folder as spec and model
    to_hf         a spec and its model as a transformers model
    certify       compare a family with transformers, number by number
    diff          where two specs differ, and what each change costs
    dump          a spec as plain data
    to_yaml       a run's spec as YAML, every default written out
    n_parameters  how many parameters a model's spec has
    cost          what a model's spec costs: operations, memory, cache, sequential operations, path length; by part
    reach         how far gradients reach in a model: their norm by the distance from where they start
    RunSpec       a whole run: model, task, training, generation
    Spec          the base of every part's spec
    Tokenizer     what every trained tokenizer can do
    load_coder    a tokenizer of a run folder, or what else the run has learnt from its data before training

    SpecError     a spec that cannot be used, with every mistake in it
    PresetError   a file or an override that cannot be read
    PluginError   a file or package of components that cannot be loaded
    DataError     data that is not what the spec says
    DivergedError training that stopped because its numbers were not finite
    RunError      a run folder that is missing, damaged or in use
    PreemptedError  training that was told to end, and saved

Importing `zoo` costs nothing: a name brings its module, and torch, at its first use.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from presets import PresetError
    from registry import PluginError, Spec, SpecError, dump
    from zoo.ablation.ablating import ablate, plan_ablation
    from zoo.analysis.attention import attention_weights
    from zoo.analysis.cost import cost
    from zoo.analysis.diff import diff
    from zoo.analysis.reach import reach
    from zoo.analysis.size import n_parameters
    from zoo.assembly.build import build
    from zoo.data.coders import load_coder
    from zoo.data.tokenizer import Tokenizer
    from zoo.errors import DataError, DivergedError, PreemptedError, RunError
    from zoo.interop.certify import certify
    from zoo.interop.hugging_face import from_hf, to_hf
    from zoo.run.attending import attention_maps
    from zoo.run.evaluating import evaluate
    from zoo.run.exporting import export
    from zoo.run.lightning import lightning
    from zoo.run.spec import RunSpec, load, to_yaml
    from zoo.run.training import resume, train
    from zoo.run.using import TrainedRun, generate, open, predict

__all__ = [
    "DataError",
    "DivergedError",
    "PluginError",
    "PreemptedError",
    "PresetError",
    "RunError",
    "RunSpec",
    "Spec",
    "SpecError",
    "Tokenizer",
    "TrainedRun",
    "ablate",
    "attention_maps",
    "attention_weights",
    "build",
    "certify",
    "cost",
    "diff",
    "dump",
    "evaluate",
    "export",
    "from_hf",
    "generate",
    "lightning",
    "load",
    "load_coder",
    "n_parameters",
    "open",
    "plan_ablation",
    "predict",
    "reach",
    "resume",
    "to_hf",
    "to_yaml",
    "train",
]

_HOMES = {
    "presets": ("PresetError",),
    "registry": ("PluginError", "Spec", "SpecError", "dump"),
    "zoo.ablation.ablating": ("ablate", "plan_ablation"),
    "zoo.analysis.attention": ("attention_weights",),
    "zoo.analysis.cost": ("cost",),
    "zoo.analysis.diff": ("diff",),
    "zoo.analysis.reach": ("reach",),
    "zoo.analysis.size": ("n_parameters",),
    "zoo.assembly.build": ("build",),
    "zoo.data.coders": ("load_coder",),
    "zoo.data.tokenizer": ("Tokenizer",),
    "zoo.interop.certify": ("certify",),
    "zoo.interop.hugging_face": ("from_hf", "to_hf"),
    "zoo.errors": ("DataError", "DivergedError", "PreemptedError", "RunError"),
    "zoo.run.attending": ("attention_maps",),
    "zoo.run.evaluating": ("evaluate",),
    "zoo.run.exporting": ("export",),
    "zoo.run.lightning": ("lightning",),
    "zoo.run.spec": ("RunSpec", "load", "to_yaml"),
    "zoo.run.training": ("resume", "train"),
    "zoo.run.using": ("TrainedRun", "generate", "open", "predict"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker shall see the imports above, and find a misspelt name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'zoo' has no attribute {name!r}; it offers {', '.join(__all__)}")
        return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def _check_neighbours() -> None:
    """Raises: ImportError where a user's own file has the name of a package that comes with this one."""
    home = Path(__file__).resolve().parents[1]
    for name in ("presets", "registry"):
        module = sys.modules.get(name)
        spec = importlib.util.find_spec(name) if module is None else None
        file = getattr(module, "__file__", None) or (spec.origin if spec else None)
        if file is None or Path(file).resolve().parent != home / name:
            where = file or ("a folder without __init__.py" if module or spec else "nothing")
            raise ImportError(
                f"zoo needs its own package '{name}' beside it, in {home}, but 'import {name}' finds "
                f"{where}: rename that file, or take its folder off Python's path"
            )


_check_neighbours()
