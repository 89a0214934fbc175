"""A new part of any kind: the file that the kind's template becomes, its test, and what to run next.

The templates are parts like any other, called my_part, and so tested as they are.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import shlex
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import presets
from registry import Kind, Problem, SpecError

NAME, TITLE = "my_part", "MyPart"
"""What the templates call the part, and its class."""


@dataclass(frozen=True)
class Written:
    """What has been written."""

    files: list[Path]
    next: list[str]
    """Commands to run, in order."""


def new_part(kind: Kind, name: str, folder: Path) -> Written:
    """Writes NAME.py, a part of that kind, and its test into a folder.

    Raises: SpecError for a name that cannot be one or is taken, a file that is there already, and a kind without a
        template, as those of plugins are; OSError where nothing can be written.
    """
    code, test = _templates(kind, name)
    part, tests = folder / f"{name}.py", folder / f"test_{name}.py"
    files = {part: _named(code, name), tests: _named(test, name)}
    _write(files)
    given = {part.name: shlex.quote(str(part)), tests.name: shlex.quote(str(tests))}
    lines = [
        re.sub(r"[\w]+\.py\b", lambda word: given.get(word[0], word[0]), each)
        for each in _commands(files[part])
    ]
    return Written(list(files), lines)


def new_package(kind: Kind, name: str, folder: Path) -> Written:
    """Writes the folder NAME, a package that brings a part of that kind, its test and a preset that has it.

    Raises: as `new_part`.
    """
    code, test = _templates(kind, name)
    home, package = folder / name, f"zoo_{name}"
    if name in presets.names():
        raise _refused(f"a preset is called '{name}' already; choose another name")
    _, conform, train = _commands(code)
    lines = [
        "pip install -e . && pytest",
        conform.replace(f" --plugin {NAME}.py", ""),
        f"zoo train {NAME} --scale tiny",
    ]
    code = code.replace(_block(code), "".join(f"    {line}\n" for line in lines))
    source = resources.files("zoo.new") / "package"
    project = (source / "pyproject.toml").read_text(encoding="utf-8")
    files = {
        home / "pyproject.toml": project.replace(NAME.replace("_", "-"), name.replace("_", "-")),
        home / package / "__init__.py": f'"""{TITLE}, a part for the architecture zoo."""\n',
        home / package / f"{name}.py": code,
        home / package / "presets" / f"{name}.yaml": _preset(train),
        home / "tests" / f"test_{name}.py": test.replace(f"from {NAME} ", f"from zoo_{NAME}.{NAME} "),
        home / "tests" / "test_preset.py": (source / "test_preset.py").read_text(encoding="utf-8"),
    }
    _write({file: _named(text, name) for file, text in files.items()})
    lines[0] = f"cd {shlex.quote(str(home))} && {lines[0]}"
    return Written(list(files), [_named(line, name) for line in lines])


def _templates(kind: Kind, name: str) -> tuple[str, str]:
    """The kind's template and that of its test, for a part that may be called so."""
    home = resources.files("zoo.new.templates")
    code, test = home / f"{kind.name}.py", home / f"test_{kind.name}.py"
    if not code.is_file():
        raise _refused(f"there is no template of kind {kind.name}, which {kind.where} makes: see there")
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise _refused(f"'{name}' cannot be the name of a part: it is no identifier, such as my_{kind.name}")
    if name in kind.names():
        first = kind.entry(name).where
        raise _refused(f"{kind.name} '{name}' is already registered at {first}; choose another name")
    if name in sys.stdlib_module_names or _is_module(name):
        raise _refused(f"'{name}.py' would hide the module {name} from what imports it; choose another name")
    texts = code.read_text(encoding="utf-8"), test.read_text(encoding="utf-8")
    if re.search(rf"\b({_title(name)}|{_title(name)}Spec)\b", "\n".join(texts)):
        raise _refused(f"the file needs the name {_title(name)} for something else; choose another name")
    return texts


def _is_module(name: str) -> bool:
    """Whether a module has that name, but for one in the folder that this is called from."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return found is not None and (found.origin is None or Path(found.origin).parent != Path.cwd())


def _named(text: str, name: str) -> str:
    return text.replace(NAME, name).replace(TITLE, _title(name))


def _title(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _block(code: str) -> str:
    """The commands in a template's docstring, as they stand there."""
    found = re.search(r"\n((?: {4}.*\n)+)\"{3}\n", code)
    assert found is not None
    return found[1]


def _commands(code: str) -> list[str]:
    """The same one by one; a line that ends in a backslash goes on."""
    found: list[str] = []
    for line in _block(code).splitlines():
        if found and found[-1].endswith("\\"):
            found[-1] += f"\n{line[4:]}"
        else:
            found.append(line[4:])
    return found


def _preset(train: str) -> str:
    """A preset that is what a training command says, beside its scale and its plugin."""
    base, *overrides = [
        word
        for word in shlex.split(train.replace("\\\n", " "))[2:]
        if "=" in word or not word.startswith("-")
    ]
    tree = {"extends": base, **presets.nested([word for word in overrides if "=" in word])}
    return f"# {base} with {NAME}; zoo train {NAME}\n{presets.to_yaml(tree)}"


def _write(files: dict[Path, str]) -> None:
    if there := [str(file) for file in files if file.exists()]:
        raise _refused(
            f"{', '.join(there)}: there already; nothing is overwritten: choose another name or --out"
        )
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)


def _refused(message: str) -> SpecError:
    return SpecError([Problem("", message)])
