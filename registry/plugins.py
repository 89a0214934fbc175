"""Where components come from: a kind's own package, entry points of other packages, and local files."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

ENTRY_POINT_GROUP = "zoo.components"


@dataclass
class Plugin:
    """A local file of components that was run in this process."""

    given: str
    """Its path as it was given."""
    path: Path
    """The same, resolved."""
    sha256: str
    """Of the bytes that were run."""
    names: list[str] = field(default_factory=list)
    """What it registered, as KIND/NAME."""


@dataclass(frozen=True)
class Package:
    """An installed distribution that announces components."""

    distribution: str
    version: str
    modules: frozenset[str]
    """The packages of its modules, by the first part of their names."""


_loaded: dict[Path, Plugin] = {}
_packages: dict[str, Package] = {}
_running: list[Plugin] = []


def loaded_plugins() -> list[Plugin]:
    """The local files run so far."""
    return list(_loaded.values())


def loaded_packages() -> list[Package]:
    """The installed distributions whose components have been loaded so far."""
    return list(_packages.values())


def note_registered(name: str) -> None:
    """Counts a component, as KIND/NAME, among those of the file that is being run, if one is."""
    if _running and name not in _running[-1].names:
        _running[-1].names.append(name)


class PluginError(ValueError):
    """A module of components that cannot be loaded; the text names its file or module, and the line."""


def load_plugin(path: str | Path, *, sha256: str | None = None) -> None:
    """Runs a local Python file, so that the components it registers are known from then on.

    A file runs once however often it is asked for, and not at all where the program itself is it or has imported
    it; files of equal name in different folders do not meet. It is read once, and what has been read is run: no
    compiled file beside it is, nor what another process has put in its place since. sha256: run nothing else than that.

    Raises: PluginError where the file is missing, is no .py, is another one, or fails; the text gives file and line.
    """
    file = Path(path)
    try:
        found = file.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL
        found = False
    shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:100]}..."
    if not found:
        raise PluginError(f"{shown!r}: no such plugin file; give the path of a .py file")
    if file.suffix != ".py":
        raise PluginError(f"{shown}: a plugin is a Python file and its name ends in .py")
    file = file.resolve()
    name = f"plugin_{file.stem}_{hashlib.sha256(str(file).encode(errors='surrogateescape')).hexdigest()[:12]}"
    if name in sys.modules:
        return
    try:
        content = file.read_bytes()
    except OSError as error:
        raise PluginError(f"{shown}: cannot be read: {error.strerror}") from None
    plugin = Plugin(str(path), file, hashlib.sha256(content).hexdigest())
    if sha256 is not None and plugin.sha256 != sha256:
        raise PluginError(f"{shown}: is another file than that of SHA-256 {sha256}; nothing of it was run")
    _loaded[file] = plugin
    if _is_imported(file):
        return
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pydantic and pickle look the module up by its name
    _running.append(plugin)
    try:
        exec(compile(content, str(file), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name], _loaded[file]
        raise PluginError(f"{shown}{_line_in(file, error)}: {_text(error)}") from error
    finally:
        _running.pop()


def _is_imported(file: Path) -> bool:
    """Whether a module of the program, or its script, comes from that file."""
    homes = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return any(home.endswith(file.name) and Path(home).resolve() == file for home in homes if home)


def import_components(package_name: str, kind: str) -> None:
    """Imports a package and all its modules whose names do not start with an underscore."""
    try:
        package = importlib.import_module(package_name)
    except Exception as error:
        raise PluginError(f"{kind}: the package {package_name} cannot be imported: {_text(error)}") from error
    for found in pkgutil.iter_modules(getattr(package, "__path__", ())):
        if found.name.startswith("_"):
            continue
        name = f"{package_name}.{found.name}"
        try:
            importlib.import_module(name)
        except Exception as error:
            raise PluginError(
                f"{kind}: the component module {name} cannot be imported: {_text(error)}"
            ) from error


def load_entry_points() -> None:
    """Loads the modules that installed packages announce under the entry-point group `zoo.components`."""
    from importlib.metadata import entry_points  # 15 ms that a start without components need not pay

    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.dist is not None:
            modules = _packages[point.dist.name].modules if point.dist.name in _packages else frozenset()
            top = point.value.partition(":")[0].partition(".")[0]
            _packages[point.dist.name] = Package(point.dist.name, point.dist.version, modules | {top})
        try:
            point.load()
        except (Exception, SystemExit) as error:
            package = point.dist.name if point.dist else "an unnamed package"
            raise PluginError(
                f"the components {point.value!r} of {package} cannot be loaded: {_text(error)}; "
                "mend or uninstall that package"
            ) from error


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"


def _line_in(file: Path, error: BaseException) -> str:
    """`:line` of the deepest frame inside the file, or of its syntax error."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f":{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    return f":{lines[-1]}" if lines else ""
