"""One walk over a tree of specs: each with its dotted path, its kind and the context that it works in.

Checking, counting and whatever else visits the parts of a spec go by it, so that which part stands where, and what it
is told of its surroundings, is known once: see `Spec.contexts`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from registry.keys import field_kind, spec_classes
from registry.kind import Kind
from registry.problems import Problem
from registry.spec import Spec, Within


@dataclass(frozen=True)
class Place:
    """A spec where it stands in a tree."""

    path: str
    spec: Spec
    kind: Kind | None = None
    """The kind of component that it describes; None for a spec that is no component."""
    context: Mapping[str, Any] | None = None
    """What is known here, by name; None where that is not to be known, as for a part without its whole."""
    n_times: int = 1
    """How many are made of it: the repeats of all places around it, too."""
    times_key: str = ""
    """The path of the key that says how many; empty where they are not repeated."""
    n_passes: int = 1
    """How often each of them is gone through, with the same weights."""
    is_checked: bool = True
    """Whether its limits are looked at here, and those of what stands in it."""
    is_inherited: bool = False
    """Whether it only works here and stands elsewhere, so that nothing inside it has a path of its own here."""

    def parts(self) -> Iterator[Place]:
        """The specs that stand in this one, those within them not included."""
        contexts = self._contexts()
        for field, key, kind, spec in held(self.spec):
            given = None if contexts is None else contexts.get(field, self.context)
            several = given if isinstance(given, tuple) else (given,)
            for within in several:
                if (place := self._part(key, kind, spec, within)) is not None:
                    yield place

    def complaint(self) -> list[Problem]:
        """What the spec's own `check` says here: nothing, or one problem.

        Raises: TypeError where its kind's check needs to know what is not known here.
        """
        names = _checked_names(self.spec, self.kind)
        if not self.is_checked or (names and self.context is None):
            return []
        known = self.context or {}
        if missing := [name for name in names if name not in known]:
            of = f"{self.kind.name} " if self.kind else ""
            raise TypeError(
                f"{self.path or type(self.spec).__name__}: the {of}check of {type(self.spec).__name__} needs "
                f"{', '.join(missing)}, and the context here has {', '.join(known) or 'nothing'}; the spec around it "
                "gives it by `contexts`"
            )
        try:
            self.spec.check(**{name: known[name] for name in names})
        except ValueError as error:
            return [Problem(self.path, str(error))]
        return []

    def problems(self) -> list[Problem]:
        """What the spec says of its parts together. Raises: as `complaint`."""
        own = self._call(self.spec.problems, self.path) if self.is_checked else None
        return [] if own is None else own

    def _contexts(self) -> Mapping[str, Any] | None:
        if type(self.spec).contexts is Spec.contexts:
            return None if self.context is None else {}
        found: Mapping[str, Any] | None = self._call(self.spec.contexts)
        if unknown := sorted(set(found or ()) - set(type(self.spec).model_fields)):
            raise TypeError(
                f"{type(self.spec).__name__}.contexts names {', '.join(unknown)}, no field of its own"
            )
        return found

    def _call(self, method: Callable[..., Any], *given: Any) -> Any:
        """Calls a method of the spec with what it asks of the context; None where that is not to be known."""
        names, takes_all = _asked(method.__func__)  # type: ignore[attr-defined]
        if self.context is None:
            return None if names or takes_all else method(*given)
        if missing := [name for name in names if name not in self.context]:
            raise TypeError(
                f"{self.path or type(self.spec).__name__}: {type(self.spec).__name__}.{method.__name__} needs "
                f"{', '.join(missing)}, and the context here has {', '.join(self.context) or 'nothing'}"
            )
        return method(*given, **(self.context if takes_all else {name: self.context[name] for name in names}))

    def _part(
        self, key: str, kind: Kind | None, spec: Spec | None, given: Mapping[str, Any] | Within | None
    ) -> Place | None:
        within = given if isinstance(given, Within) else Within(given)
        found = spec if spec is not None else within.inherited
        if found is None:
            return None
        prefix = f"{self.path}." if self.path else ""
        is_inherited = self.is_inherited or spec is None
        return Place(
            self.path if self.is_inherited else f"{prefix}{within.told_at if spec is None else key}",
            found,
            kind if "type" in type(found).model_fields else None,
            within.context,
            self.n_times * within.n_times,
            f"{prefix}{within.times_key}" if within.times_key else self.times_key,
            self.n_passes * within.n_passes,
            self.is_checked and within.is_checked,
            is_inherited,
        )


def walk(spec: Spec, path: str = "", **context: Any) -> Iterator[Place]:
    """The spec's own place, and all places within it, each before those inside it; context is what the spec is told."""
    yield from _walk(Place(path, spec, context=context))


def check(spec: Spec, path: str = "", **context: Any) -> list[Problem]:
    """Everything that is wrong with a spec and with those in it: their `check`, each in its context, and `problems`.

    Where a spec's own check complains, of those within only what needs no context is looked at, for it may give one
    that makes no sense.
    """
    return _problems(Place(path, spec, context=context))


def check_alone(spec: Spec, path: str = "") -> list[Problem]:
    """The same of a spec that may be a part without its whole: what it and its parts can say without being told."""
    return _problems(Place(path, spec))


def inner(spec: Spec, path: str = "") -> Iterator[tuple[str, Spec]]:
    """Every spec within a spec, with its path, by form alone: also of one that is not sound."""
    for _, key, _, part in held(spec):
        if part is not None:
            where = f"{path}.{key}" if path else key
            yield where, part
            yield from inner(part, where)


def held(spec: Spec) -> Iterator[tuple[str, str, Kind | None, Spec | None]]:
    """The fields of a spec that take specs: field, key (of a tuple one for each item), kind, and what is there."""
    for name, kind in _spec_fields(type(spec)):
        value = getattr(spec, name)
        if isinstance(value, tuple):
            for i, item in enumerate(value):
                if isinstance(item, Spec):
                    yield name, f"{name}.{i}", kind, item
        elif isinstance(value, Spec) or value is None:
            yield name, name, kind, value


def _walk(place: Place) -> Iterator[Place]:
    yield place
    for part in place.parts():
        yield from _walk(part)


def _problems(place: Place) -> list[Problem]:
    found = place.complaint()
    inside = replace(place, context=None) if found else place
    found = found + place.problems()
    for part in inside.parts():
        found += _problems(part)
    return found


@cache
def _spec_fields(spec_class: type[Spec]) -> Sequence[tuple[str, Kind | None]]:
    return [
        (name, field_kind(field))
        for name, field in spec_class.model_fields.items()
        if any(spec_classes(field.annotation))
    ]


def _checked_names(spec: Spec, kind: Kind | None) -> Sequence[str]:
    """What a spec's `check` is called with: what its kind says, else what it takes."""
    if kind is not None and kind.check is not None:
        return kind.check
    return _asked(type(spec).check)[0]


@cache
def _asked(method: Callable[..., Any]) -> tuple[Sequence[str], bool]:
    """The keywords of a method, and whether it takes any other; of a base's own, which asks for nothing, neither."""
    if method in (Spec.check, Spec.problems, Spec.contexts):
        return (), False
    parameters = inspect.signature(method).parameters.values()
    names = tuple(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)
    return names, any(each.kind is each.VAR_KEYWORD for each in parameters)
