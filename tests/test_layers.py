"""Who may import whom: the floors of the house, read from the source, imports inside functions included."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("registry", "presets", "zoo")

# Lowest first. A place may import itself and the rows below its own; places of one row are strangers.
# One place may be several modules, joined by "+".
FLOORS: tuple[tuple[str, ...], ...] = (
    ("registry", "presets"),
    (
        "zoo.amounts",
        "zoo.drawing",
        "zoo.errors",
        "zoo.hardware",
        "zoo.losses",
        "zoo.progress",
        "zoo.seeding",
        "zoo.special_ids",
    ),
    ("zoo.masks + zoo.kernels", "zoo.storage"),
    ("zoo.kinds",),
    ("zoo.sizes",),
    ("zoo.costs",),
    (
        "zoo.components.activations",
        "zoo.components.distances",
        "zoo.components.heads",
        "zoo.components.levels",
        "zoo.components.norms",
    ),
    tuple(
        f"zoo.components.{kind}"
        for kind in (
            "attention",
            "ffn",
            "norm",
            "position",
            "rotary_scaling",
            "layout",
            "embedding",
            "head",
            "initialization",
            "mixer",
        )
    ),
    ("zoo.assembly",),
    ("zoo.interop", "zoo.analysis", "zoo.conformance", "zoo.data", "zoo.generation"),
    ("zoo.metrics",),
    ("zoo.tasks",),
    ("zoo.training",),
    ("zoo.run",),
    ("zoo.ablation", "zoo.new"),
    ("zoo.cli",),
    ("zoo",),
    ("zoo.new.templates", "zoo.new.package"),  # what users are given, who stand above all of it
)

# What the lowest places may use besides the standard library.
OUTSIDE: dict[str, frozenset[str]] = {
    "registry": frozenset({"pydantic", "pydantic_core"}),
    "presets": frozenset({"yaml"}),
    "zoo.errors": frozenset(),
    "zoo.hardware": frozenset({"torch"}),
    "zoo.kinds": frozenset({"torch"}),
    "zoo.losses": frozenset({"torch"}),
    "zoo.seeding": frozenset({"torch"}),
    "zoo.masks + zoo.kernels": frozenset({"torch"}),
    "zoo.storage": frozenset({"torch"}),
}

LIGHTNING = (
    "zoo.training.",
    "zoo.new.templates.",
)  # users' own loggers and callbacks are subclasses of Lightning's

IMPORT_NAMES = {"pyyaml": "yaml"}


@dataclass(frozen=True)
class Import:
    """One module's use of another; `target` is the longest module name known, `line` where it stands."""

    module: str
    target: str
    line: int


def module_names(root: Path) -> dict[str, Path]:
    """Every module of the packages under `root`, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Iterator[Import]:
    """Every import statement of every module, however deep it stands, `if TYPE_CHECKING` included."""
    modules = module_names(root)
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(module, alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: relative import"
                base = node.module or ""
                for alias in node.names:
                    full = f"{base}.{alias.name}"
                    yield Import(module, full if full in modules else base, node.lineno)


def place_of(module: str) -> tuple[int, str] | None:
    """The floor and place a module lies in; None for a module outside the table."""
    best: tuple[int, str] | None = None
    longest = -1
    for floor, places in enumerate(FLOORS):
        for place in places:
            for prefix in place.split(" + "):
                inside = module == prefix or (prefix != "zoo" and module.startswith(prefix + "."))
                if inside and len(prefix) > longest:
                    best, longest = (floor, place), len(prefix)
    return best


def floor_violations(root: Path) -> list[str]:
    """Each import that goes up, or sideways into another place."""
    wrong = []
    for use in imports(root):
        if use.target.partition(".")[0] not in PACKAGES:
            continue
        here, there = place_of(use.module), place_of(use.target)
        if here is None or there is None:
            wrong.append(f"{use.module}:{use.line} imports {use.target}, and one of them is on no floor")
        elif here[1] != there[1] and here[0] <= there[0]:
            wrong.append(f"{use.module}:{use.line} imports {use.target}, which is not below it")
    return wrong


def outside_violations(root: Path) -> list[str]:
    """Each import of a library by a place that may not use it."""
    wrong = []
    for use in imports(root):
        library = use.target.partition(".")[0]
        if library in PACKAGES or library in sys.stdlib_module_names:
            continue
        place = place_of(use.module)
        allowed = OUTSIDE.get(place[1]) if place else frozenset()
        if allowed is not None and library not in allowed:
            wrong.append(f"{use.module}:{use.line} imports {library}")
        if library in ("lightning", "pytorch_lightning") and not use.module.startswith(LIGHTNING):
            wrong.append(f"{use.module}:{use.line} imports {library}; only zoo/training may")
        if library == "transformers" and not use.module.startswith("zoo.interop."):
            wrong.append(f"{use.module}:{use.line} imports {library}; only zoo/interop may")
    return wrong


def circle(root: Path) -> list[str]:
    """The modules of one import circle, in order, or nothing."""
    modules = module_names(root)
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for use in imports(root):
        if use.target in modules:
            graph[use.module].add(use.target)
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if found := walk(target, [*trail, module]):
                return found
        done.add(module)
        return []

    for module in graph:
        if found := walk(module, []):
            return found
    return []


def declared_libraries() -> set[str]:
    """The import names of the dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = set()
    for requirement in project["dependencies"]:
        name = requirement.split(">")[0].split("=")[0].split("<")[0].split("!")[0].split("[")[0].strip()
        names.add(IMPORT_NAMES.get(name.lower(), name.lower().replace("-", "_")))
    return names


def test_every_import_goes_down() -> None:
    assert floor_violations(ROOT) == []


def test_lower_floors_use_only_their_libraries_and_only_training_uses_lightning() -> None:
    assert outside_violations(ROOT) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(ROOT) == []


def test_every_library_in_use_is_a_declared_dependency() -> None:
    known = declared_libraries() | set(PACKAGES) | sys.stdlib_module_names | {"pydantic_core"}
    # Extras, imported inside functions: see test_start.py.
    known |= {
        "transformers",
        "PIL",
        "tokenizers",
        "onnxruntime",
        "onnx_ir",
        "pyarrow",
        "datasets",
        "ray",
        "submitit",
        "matplotlib",
        "pytest",
        "my_part",  # what a template's test tests: the file beside it
        "zoo_my_part",
    }
    strangers = {f"{use.module}:{use.line} {use.target}" for use in imports(ROOT)
                 if use.target.partition(".")[0] not in known}  # fmt: skip
    assert strangers == set()


def test_every_module_lies_on_a_floor() -> None:
    homeless = {
        module
        for module, path in module_names(ROOT).items()
        if place_of(module) is None and path.read_text(encoding="utf-8").strip()
    }
    assert homeless == set()


# What others import from: the rest is addressed module by module.
HOUSES_WITH_A_DOOR = ("registry", "presets", "zoo", "zoo/kinds", "zoo/conformance")


def test_only_what_others_import_from_has_something_in_its_init_file() -> None:
    full = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("__init__.py")
        if path.read_text(encoding="utf-8").strip()
    }
    assert full <= {f"{place}/__init__.py" for place in HOUSES_WITH_A_DOOR}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A correct little house to spoil."""
    for name, text in {
        "registry/__init__.py": "import pydantic\n",
        "presets/__init__.py": "import yaml\n",
        "zoo/__init__.py": "",
        "zoo/kinds/__init__.py": "import torch\nfrom registry import Kind\n",
        "zoo/masks.py": "import torch\n",
        "zoo/kernels/cache.py": "from zoo.masks import Mask\n",
        "zoo/data/tokens.py": "from zoo import kinds\n",
        "zoo/generation/beam.py": "import torch\n",
        "zoo/training/loop.py": "def fit() -> None:\n    import lightning\n",
        "zoo/run/spec.py": "from zoo.training.loop import fit\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_a_sound_house_passes(house: Path) -> None:
    assert floor_violations(house) == outside_violations(house) == circle(house) == []


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        (
            "zoo/masks.py",
            "def late() -> None:\n    from zoo.run import spec\n",
            "zoo.masks:2 imports zoo.run",
        ),
        (
            "zoo/data/tokens.py",
            "import zoo.generation.beam\n",
            "zoo.data.tokens:1 imports zoo.generation",
        ),
        ("registry/__init__.py", "import presets\n", "registry:1 imports presets, which"),
        ("zoo/kinds/norm.py", "import zoo\n", "zoo.kinds.norm:1 imports zoo"),
        (
            "zoo/stray.py",
            "import zoo.kinds\n",
            "zoo.stray:1 imports zoo.kinds, and one of them is on no floor",
        ),
    ],
)
def test_an_import_that_goes_up_or_sideways_is_found(house: Path, file: str, text: str, found: str) -> None:
    (house / file).write_text(text, encoding="utf-8")
    assert any(line.startswith(found) for line in floor_violations(house))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("registry/__init__.py", "def f() -> None:\n    import torch\n"),
        ("presets/__init__.py", "import pydantic\n"),
        ("zoo/kernels/cache.py", "import numpy\n"),
        ("zoo/run/spec.py", "from lightning.pytorch import Trainer\n"),
    ],
)
def test_a_library_on_the_wrong_floor_is_found(house: Path, file: str, text: str) -> None:
    (house / file).write_text(text, encoding="utf-8")
    assert len(outside_violations(house)) == 1


def test_a_circle_through_a_function_is_found(house: Path) -> None:
    (house / "zoo/kernels/a.py").write_text("import zoo.kernels.b\n", encoding="utf-8")
    (house / "zoo/kernels/b.py").write_text(
        "def f() -> None:\n    from zoo.kernels import a\n", encoding="utf-8"
    )
    assert circle(house) == ["zoo.kernels.a", "zoo.kernels.b", "zoo.kernels.a"]
