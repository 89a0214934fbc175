"""Kind: one slot of a model, and the components registered for it."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, ValidationError, core_schema

from registry.contract import contract_words
from registry.plugins import import_components, load_entry_points, note_registered
from registry.problems import Problem, SpecError, clip, show, suggest
from registry.spec import Spec

Builder = TypeVar("Builder", bound=Callable[..., Any])

REST = "inherited"
"""What a constructor calls the parameters that it passes on to the component it extends."""

# One lock for all kinds: loading one kind may look into another, and two locks could wait for each other.
_loading = threading.RLock()


@dataclass(frozen=True)
class Entry:
    """A registered component."""

    name: str
    spec: type[Spec]
    builder: Callable[..., Any]
    examples: tuple[Mapping[str, Any], ...]
    where: str
    """`file:line` of its registration."""
    summary: str
    """First line of the builder's docstring."""


class Kind:
    """A named slot with a contract, filled by any component registered for it.

    package holds the kind's own components and is imported at the first look-up; context lists the names
    handed to a constructor at build besides its spec's fields; check lists those that a spec's `check` is called
    with, where registration is to hold it to them, and calls those of further methods that a spec may have, by the
    method's name; contract is a Protocol, what code calls a component with, or says that in words. The field type
    `Annotated[Spec, KIND]` accepts a name, a mapping with `type`, or a spec; `Annotated[Spec | None, KIND]` also null.
    A kind is listed by being made, see `kinds`.

    Raises: ValueError for a name that another kind has.
    """

    def __init__(
        self,
        name: str,
        *,
        package: str = "",
        context: Sequence[str] = (),
        check: Sequence[str] | None = None,
        calls: Mapping[str, Sequence[str]] | None = None,
        summary: str = "",
        contract: type | str = "",
    ) -> None:
        frame = sys._getframe(1)
        self.name = name
        self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        self.module = str(frame.f_globals.get("__name__", ""))
        self.package = package
        self.context = tuple(context)
        self.check = None if check is None else tuple(check)
        self.calls = {name: tuple(keywords) for name, keywords in (calls or {}).items()}
        self.summary = summary
        self.protocol = contract if isinstance(contract, type) else None
        self.contract = contract_words(contract) if isinstance(contract, type) else contract
        self._entries: dict[str, Entry] = {}
        self._loaded = False
        _list(self)

    def __repr__(self) -> str:
        return f"Kind({self.name!r})"

    def register(
        self, name: str, *, spec: type[Spec], examples: Sequence[Mapping[str, Any]] = ()
    ) -> Callable[[Builder], Builder]:
        """Decorates a component's class, or a function that makes one: keyword-only parameters, no defaults.

        A class that extends another component, with a spec that extends the other's, names its further parameters
        only: its constructor takes `**inherited` besides and passes it on, `super().__init__(**inherited)`.

        Raises: TypeError where the parameters are not the spec's fields plus the kind's context, the spec's
            `check`, or a method of the kind's contract, takes others than the kind calls it with, or its `type`
            is not the name; ValueError for a name that is taken.
        """
        frame = sys._getframe(1)
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"

        def decorate(builder: Builder) -> Builder:
            _compare(self, name, spec, builder)
            is_own = builder.__module__.startswith(f"{self.package}.")
            if not is_own:
                self._load(announced=False)  # their names are taken, though none was looked up so far
            first = self._entries.get(name)
            if first is not None and not _is_same(first, where, builder):
                raise ValueError(
                    f"{self.name} {name!r} is already registered at {first.where}; choose another name"
                )
            summary = next(iter((inspect.getdoc(builder) or "").splitlines()), "")
            self._entries[name] = Entry(name, spec, builder, tuple(examples), where, summary)
            if not is_own:
                note_registered(f"{self.name}/{name}")
            return builder

        return decorate

    def names(self) -> list[str]:
        """The registered names, sorted."""
        self._load()
        return sorted(self._entries)

    def entry(self, name: str) -> Entry:
        """The component of that name.

        Raises: SpecError for an unknown name, with the nearest and all known ones; PluginError where a module
        of components cannot be loaded.
        """
        self._load()
        if name not in self._entries:
            nearby = suggest(name, self._entries, listed=True, listing=f"zoo list {self.name}")
            raise SpecError([Problem("", f"no {self.name} is registered as {clip(name)}", nearby)])
        return self._entries[name]

    def registered(self) -> list[Entry]:
        """The components registered so far; nothing is loaded for it."""
        return list(self._entries.values())

    def examples(self, name: str) -> list[Spec]:
        """The small specs given at registration, for tests."""
        entry = self.entry(name)
        return [entry.spec.model_validate(dict(example)) for example in entry.examples]

    def build(self, spec: Spec, **context: Any) -> Any:
        """Constructs the component that the spec describes, within the given context."""
        entry = self.entry(spec.type)
        if type(spec) is not entry.spec:
            raise TypeError(f"{self.name} {entry.name!r} is built from a {entry.spec.__name__}, not {spec!r}")
        fields = {name: getattr(spec, name) for name in entry.spec.model_fields if name != "type"}
        return entry.builder(**fields, **context)

    def _load(self, *, announced: bool = True) -> None:
        """Imports the kind's own components, and those that installed packages announce."""
        if self._loaded:
            return
        with _loading:
            if self._loaded or self in _in_progress:  # a component may look at its own kind while it loads
                return
            _in_progress.append(self)
            try:
                if self.package:
                    import_components(self.package, self.name)
                if announced:
                    _load_entry_points_once()
                    self._loaded = True
            finally:
                _in_progress.remove(self)

    # How pydantic reads, writes and describes a field of this kind.

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = core_schema.with_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(_serialize, info_arg=True),
        )
        return core_schema.nullable_schema(schema) if type(None) in get_args(source) else schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        entries = [self.entry(name) for name in self.names()]
        short = [entry.name for entry in entries if not _needs_keys(entry.spec)]
        options: list[dict[str, Any]] = [{"enum": short}] if short else []
        for entry in entries:
            options.append({**_json_schema(entry.spec, handler), "required": ["type"]})
        inner: Any = schema
        while inner["type"].startswith("function-") and "schema" in inner:  # validators of the field's
            inner = inner["schema"]
        if inner["type"] == "nullable":
            options.append({"type": "null"})
        return {"oneOf": options}

    def _validate(self, value: Any, info: ValidationInfo) -> Spec:
        if isinstance(value, Spec):
            entry = self._known(getattr(value, "type", type(value).__name__), (), value)
            if type(value) is not entry.spec:
                raise _failure(f"must be a spec of kind {self.name}, got a {type(value).__name__}", (), value)
            return value
        if isinstance(value, str):
            return self._known(value, (), value).spec.model_validate({"type": value}, context=info.context)
        if not isinstance(value, Mapping):
            wanted = f"a component of kind {self.name} (its name, or a mapping with 'type')"
            raise _failure(f"must be {wanted}, got {show(value)}; zoo list {self.name}", (), value)
        if "type" not in value:
            known = ", ".join(self.names())
            raise _failure(f"missing key; give the name of a component (known: {known})", ("type",), value)
        name = value["type"]
        if not isinstance(name, str):
            raise _failure(f"must be the name of a component, got {show(name)}", ("type",), name)
        return self._known(name, ("type",), name).spec.model_validate(value, context=info.context)

    def _known(self, name: str, loc: tuple[str, ...], value: object) -> Entry:
        try:
            return self.entry(name)
        except SpecError as error:
            raise _failure(str(error), loc, value) from None


def kinds() -> tuple[Kind, ...]:
    """The kinds made so far, by name, those that installed packages announce included.

    Raises: PluginError where what a package announces cannot be loaded.
    """
    with _loading:
        _load_entry_points_once()
    return made_kinds()


def made_kinds() -> tuple[Kind, ...]:
    """The kinds made so far, by name; nothing is loaded for it."""
    return tuple(_made[name] for name in sorted(_made))


def _list(kind: Kind) -> None:
    first = _made.get(kind.name)
    if first is not None and not _is_same_kind(first, kind):
        raise ValueError(f"a kind is already called {kind.name!r}, at {first.where}; choose another name")
    _made[kind.name] = kind


_made: dict[str, Kind] = {}
_in_progress: list[Kind] = []
_in_description: list[type[Spec]] = []
_entry_points_loaded = False


def _load_entry_points_once() -> None:
    global _entry_points_loaded
    if not _entry_points_loaded:
        _entry_points_loaded = True  # first, because an announced module may look into a kind
        try:
            load_entry_points()
        except BaseException:
            _entry_points_loaded = False
            raise


def _serialize(value: Spec | None, info: SerializationInfo) -> Any:
    # The spec's own class says what is written; a serialiser of the annotated base would drop its fields.
    return None if value is None else value.model_dump(mode=info.mode, serialize_as_any=True)


def _failure(text: str, loc: tuple[str, ...], value: object) -> ValidationError:
    """An error of ours, with its text as it shall be shown, at a place below the field."""
    kind_error = PydanticCustomError("kind", "{text}", {"text": text})
    return ValidationError.from_exception_data(
        "spec", [InitErrorDetails(type=kind_error, loc=loc, input=value)]
    )


def _is_same(first: Entry, where: str, builder: Callable[..., Any]) -> bool:
    """Whether a registration is an older one again: its file ran again, or a notebook's cell did, perhaps changed."""
    if first.where == where or _resolved(first.where) == _resolved(where):
        return True
    names = [(each.__module__, each.__qualname__) for each in (first.builder, builder)]
    return names[0] == names[1] and names[0][0] == "__main__"


def _is_same_kind(first: Kind, again: Kind) -> bool:
    """Whether a kind is an older one made again, as in `_is_same`."""
    is_cell = first.module == again.module == "__main__"
    return is_cell or _resolved(first.where) == _resolved(again.where)


def _resolved(where: str) -> tuple[Path, str]:
    file, _, line = where.rpartition(":")
    return Path(file).resolve(), line


def _needs_keys(spec: type[Spec]) -> bool:
    return any(field.is_required() for field in spec.model_fields.values())


def _json_schema(spec: type[Spec], handler: GetJsonSchemaHandler) -> dict[str, Any]:
    """The schema of a component, which may hold components of its own kind: those by reference."""
    schema: Any = spec.__pydantic_core_schema__
    if spec in _in_description:
        model = schema["schema"] if schema["type"] == "definitions" else schema
        return handler(core_schema.definition_reference_schema(model.get("schema_ref") or model["ref"]))
    _in_description.append(spec)
    try:
        # The handler registers no definition for the schema it is given, only for those inside.
        return handler(core_schema.definitions_schema(schema, []))
    finally:
        _in_description.remove(spec)


def _compare(kind: Kind, name: str, spec: type[Spec], builder: Callable[..., Any]) -> None:
    """Holds a builder's parameters against the spec's fields and the kind's context."""
    title = f"{kind.name} {name!r} ({getattr(builder, '__qualname__', builder)})"
    tag = spec.model_fields.get("type")
    if tag is None or tag.default != name or tag.annotation != Literal[name]:
        raise TypeError(f'{title}: {spec.__name__} needs the field `type: Literal["{name}"] = "{name}"`')
    parameters, extended = _parameters(builder)
    loose = [
        str(parameter)
        for parameter in parameters
        if parameter.kind is not parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
    ]
    if loose:
        of = f" (those of {extended}, which **{REST} passes on, included)" if extended else ""
        raise TypeError(
            f"{title}: parameters must be keyword-only and without defaults{of}: {', '.join(loose)}"
        )
    fields = set(spec.model_fields) - {"type"}
    if both := sorted(fields & set(kind.context)):
        raise TypeError(f"{title}: {spec.__name__} has {', '.join(both)}, which the kind hands in at build")
    _compare_calls(kind, title, spec)
    taken = {parameter.name for parameter in parameters}
    given = fields | set(kind.context)
    if taken != given:
        its = (
            f"the constructor, with what **{REST} passes on to {extended}," if extended else "the constructor"
        )
        raise TypeError(
            f"{title}: constructor and spec disagree; only {its} takes: {_listed(taken - given)}; "
            f"only {spec.__name__} and the kind's context give: {_listed(given - taken)}"
        )


def _parameters(builder: Callable[..., Any]) -> tuple[list[inspect.Parameter], str]:
    """What a builder takes, and the classes whose constructors take a part of it by **inherited, if there are such."""
    found = {each.name: each for each in inspect.signature(builder).parameters.values()}
    if not inspect.isclass(builder) or not _passes_on(found):
        return list(found.values()), ""
    taken: dict[str, inspect.Parameter] = {}
    extended: list[str] = []
    for home in builder.__mro__:
        if "__init__" not in vars(home):
            continue
        own = list(inspect.signature(vars(home)["__init__"]).parameters.values())[1:]
        if home is not builder:
            extended.append(home.__name__)
        taken = {**{each.name: each for each in own}, **taken}
        if not _passes_on({each.name: each for each in own}):
            break
        del taken[REST]
    return list(taken.values()), ", ".join(extended)


def _passes_on(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return REST in parameters and parameters[REST].kind is inspect.Parameter.VAR_KEYWORD


def _compare_calls(kind: Kind, title: str, spec: type[Spec]) -> None:
    """Holds a spec's own `check`, and its methods of the kind's contract, against what the kind calls them with."""
    calls = kind.calls if kind.check is None else {"check": kind.check, **kind.calls}
    for method, keywords in calls.items():
        own = getattr(spec, method, None)
        if own is None or own is getattr(Spec, method, None):
            continue
        taken = set(inspect.signature(own).parameters) - {"self"}
        if taken != set(keywords):
            call = ", ".join(f"{name}=" for name in keywords)
            raise TypeError(
                f"{title}: {spec.__name__}.{method} is called as {method}({call}), but takes: {_listed(taken)}"
            )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
