"""Spec: the typed, frozen description of one part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from registry.problems import Problem


@dataclass(frozen=True)
class Within:
    """What a part works in, where there is more to say than names and values."""

    context: Mapping[str, Any] | None
    n_times: int = 1
    """How many are made of it for each of the spec around it; 0 where it is a piece of another part."""
    times_key: str = ""
    """The key, of the spec around it, that says how many."""
    n_passes: int = 1
    """How often each of them is gone through, with the same weights."""
    is_checked: bool = True
    """Whether its limits are looked at here; if not, then where it is used."""
    inherited: Spec | None = None
    """What stands in for a field that is null."""
    told_at: str = ""
    """The key at which that one's problems are told."""


class Spec(BaseModel):
    """Base of every spec: typed fields with bounds and defaults, no unknown keys, never changed once made.

    A field is an int, float, bool, str, Literal, tuple, another Spec, or `Annotated[Spec, KIND]` for any
    component of a kind. Types are strict: true is no 1, "8" is no 8, nan is no number; an integer serves as a
    float, and a list (all that YAML has) as a tuple. The docstring below a field is its help text. A
    component's name is a default as `Field("rms_norm", validate_default=True)`, which type checkers accept.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
        protected_namespaces=(),
    )

    if TYPE_CHECKING:  # pydantic takes no field over a class's own attribute

        @property
        def type(self) -> str:
            """The name that a component is registered by; a spec that is no component has none."""

    def check(self, *args: Any, **context: Any) -> None:
        """Raises ValueError where this part cannot work in its context, before any weight exists.

        Subclasses name the keywords that their kind's contract lists, such as `*, d_model: int`.
        """

    def problems(self, path: str, *args: Any, **context: Any) -> list[Problem]:
        """What is wrong with the parts of a composite spec together; `path` is where it stands.

        What is wrong with a part by itself its own `check` says. Subclasses name the keywords of the context that they
        need, such as `path: str, *, d_model: int`.
        """
        return []

    def contexts(
        self, *args: Any, **own: Any
    ) -> Mapping[str, Mapping[str, Any] | Within | tuple[Within, ...]]:
        """The context of each part that has another than this spec's own, by its field.

        A part's `check` is called with those names of it that its kind lists; one that is missing is a programming
        error. Subclasses name the keywords of their own context that they need. Several `Within` of one field are
        several parts made of one spec, none says that nothing is.
        """
        return {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for name, field in cls.model_fields.items():
            if _holds_list(field.annotation):
                raise TypeError(
                    f"{cls.__name__}.{name}: a spec is frozen and hashable; use a tuple, not a list or set"
                )

    @model_validator(mode="before")
    @classmethod
    def _remember(cls, data: Any, info: ValidationInfo) -> Any:
        """Notes which spec reads which mapping, so that `parse` can name the fields that exist there."""
        if info.context is not None and isinstance(data, Mapping):
            info.context["readers"].append((data, cls))
        return data

    @field_validator("*", mode="before")
    @classmethod
    def _lists_serve_as_tuples(cls, value: Any, info: ValidationInfo) -> Any:
        """Makes tuples of lists; a mapping without type is of the type that the field has by default."""
        if isinstance(value, Mapping) and value and "type" not in value and info.field_name is not None:
            component = default_type(cls, info.field_name)
            return value if component is None else {"type": component, **value}
        return _as_tuple(value)


def default_type(spec_class: type[Spec], name: str) -> str | None:
    """The component that a field has by default, by its name; None for a field without one."""
    field = spec_class.model_fields[name]
    if field.is_required() or not any(hasattr(item, "entry") for item in field.metadata):  # a kind
        return None
    component = getattr(field.default, "type", field.default)
    return component if isinstance(component, str) else None


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value


def _holds_list(annotation: Any) -> bool:
    if (get_origin(annotation) or annotation) in (list, set):
        return True
    return any(_holds_list(argument) for argument in get_args(annotation))
