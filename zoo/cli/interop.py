"""The commands import, export and certify: models from and to transformers, and the proof that they are equal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli import completing
from zoo.cli.arguments import AsJson, Checkpoint, Plugins, load_plugins, usage_error
from zoo.cli.shell import INTERNAL_ERROR
from zoo.cli.text import print_json

DTYPES = ("float32", "float16", "bfloat16", "float64")

OutWord = Annotated[
    Path | None,
    typer.Argument(metavar="[OUT]", show_default=False, help="A folder that is not there yet; or by --out."),
]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="OUT", help="The same by name.")]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype", metavar="NAME", help=f"Convert the weights: {', '.join(DTYPES)}; by default kept."
    ),
]


def import_(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="config.json and safetensors.")
    ],
    out_word: OutWord = None,
    out: OutOption = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            "--architecture", metavar="NAME", help="The class of transformers, if not config.json's."
        ),
    ] = None,
    dtype: Dtype = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="FIELD", help="A field of config.json that changes nothing."),
    ] = None,
    ignore_tensor: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore-tensor",
            metavar="PATTERN",
            help="Tensors to be left out, by name, with * and ?; may be repeated.",
        ),
    ] = None,
    unpickle: Annotated[
        bool,
        typer.Option(
            "--unpickle",
            help="Read pytorch_model.bin, by torch.load(weights_only=True), where there are no safetensors.",
        ),
    ] = False,
) -> None:
    """Read a checkpoint folder of transformers, executing nothing in it; write a folder that every command takes."""
    target, wanted = _one_folder(out_word, out), _dtype(dtype)
    from zoo.assembly.build import n_parameters
    from zoo.run.importing import import_checkpoint

    found = import_checkpoint(
        folder,
        target,
        architecture=architecture,
        dtype=wanted,
        ignore=ignore or (),
        ignore_tensors=ignore_tensor or (),
        unpickle=unpickle,
        say=lambda text: print(text, file=sys.stderr),
    )
    what = [_type(found.spec), f"{n_parameters(found.model):,} parameters", _dtypes(found.model)]
    if found.task is not None:
        what.append(f"for {found.task.type.replace('_', ' ')}")
    print(f"{target}: {', '.join(what)}")


def export(
    source: Annotated[
        Path, typer.Argument(metavar="RUN", show_default=False, help="A run, or what `zoo import` wrote.")
    ],
    out_word: OutWord = None,
    out: OutOption = None,
    family: Annotated[
        str | None,
        typer.Option("--family", metavar="NAME", help="The model type, where several could hold the model."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field",
            metavar="KEY=VALUE",
            help="A further field of config.json, such as max_position_embeddings=8192.",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="hf, safetensors, onnx or torch-export.")
    ] = "hf",
    checkpoint: Checkpoint = "result",
    plugin: Plugins = None,
) -> None:
    """Write a model for others to read, each checked after writing to give the model's numbers.

    hf: config.json, with the ids its search has, and safetensors, for transformers; safetensors: spec.yaml and weights;
    onnx, torch-export: graphs for any batch and length, with model.json about them.
    """
    target, fields = _one_folder(out_word, out), _fields(field or ())
    load_plugins(plugin)
    from zoo.run.exporting import export as write

    written = write(
        source,
        target,
        format=format,
        checkpoint=int(checkpoint) if checkpoint.isdecimal() else checkpoint,
        family=family,
        fields=fields,
    )
    print(written.text())


def certify(
    family: Annotated[
        str,
        typer.Argument(
            metavar="FAMILY",
            show_default=False,
            autocompletion=completing.families,
            help="Such as gpt2 or bert.",
        ),
    ],
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Random models of each config.")
    ] = 3,
    as_json: AsJson = False,
) -> None:
    """Compare a family with transformers number by number, and print the certificate; exit code 1 where they differ."""
    from zoo.interop.certify import certify as compare

    certificate = compare(family, seeds=range(seeds))
    if as_json:
        print_json(vars(certificate))
    else:
        print(certificate.text())
    if certificate.failures:
        raise typer.Exit(INTERNAL_ERROR)


def _one_folder(word: Path | None, option: Path | None) -> Path:
    given = [each for each in (word, option) if each is not None]
    if len(given) != 1:
        raise usage_error(
            f"one folder to write is needed, OUT or --out OUT, and {len(given) or 'none'} is given"
        )
    return given[0]


def _fields(words: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE, VALUE as JSON, or else as the string it is."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise usage_error(f"--field: '{word}' should read KEY=VALUE")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _dtype(name: str | None) -> Any:
    if name is None:
        return None
    if name not in DTYPES:
        raise usage_error(f"--dtype: '{name}' is unknown; known: {', '.join(DTYPES)}")
    import torch

    return getattr(torch, name)


def _dtypes(model: Any) -> str:
    return ", ".join(sorted({str(each.dtype).removeprefix("torch.") for each in model.parameters()}))


def _type(spec: Any) -> str:
    return str(spec.type).replace("_", "-")
