"""The public API. Importing `zoo` costs nothing: a name brings its module, and torch, at its first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry import Spec, SpecError, dump
    from zoo.analysis.size import n_parameters
    from zoo.assembly.build import build
    from zoo.errors import DataError, DivergedError, PreemptedError, RunError
    from zoo.interop.certify import certify
    from zoo.interop.hugging_face import from_hf, to_hf
    from zoo.run.spec import RunSpec, load, to_yaml
    from zoo.run.training import resume, train
    from zoo.run.using import evaluate, generate

__all__ = [
    "DataError",
    "DivergedError",
    "PreemptedError",
    "RunError",
    "RunSpec",
    "Spec",
    "SpecError",
    "build",
    "certify",
    "dump",
    "evaluate",
    "from_hf",
    "generate",
    "load",
    "n_parameters",
    "resume",
    "to_hf",
    "to_yaml",
    "train",
]

_HOMES = {
    "registry": ("Spec", "SpecError", "dump"),
    "zoo.analysis.size": ("n_parameters",),
    "zoo.assembly.build": ("build",),
    "zoo.interop.certify": ("certify",),
    "zoo.interop.hugging_face": ("from_hf", "to_hf"),
    "zoo.errors": ("DataError", "DivergedError", "PreemptedError", "RunError"),
    "zoo.run.spec": ("RunSpec", "load", "to_yaml"),
    "zoo.run.training": ("resume", "train"),
    "zoo.run.using": ("evaluate", "generate"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker shall see the imports above, and find a misspelt name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'zoo' has no attribute {name!r}; it offers {', '.join(__all__)}")
        return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
