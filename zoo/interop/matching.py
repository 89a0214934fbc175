"""Which family a spec belongs to: the one whose config gives the spec back, key for key."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from registry import Problem, SpecError, parse
from zoo.interop.canonical import (
    Difference,
    canonical,
    differences_of,
    from_canonical,
    resolved,
    with_parts_of,
)
from zoo.interop.config import BOOKKEEPING, FIXED, PLAIN, Config, Variant
from zoo.interop.family import Family, families, family_named
from zoo.interop.variants import variant_between
from zoo.kinds import MODEL


def spec_of(
    family: Family,
    config: Mapping[str, Any],
    *,
    where: str = "config.json",
    architecture: str | None = None,
    ignore: Sequence[str] = (),
    variant: Variant = PLAIN,
) -> Any:
    """The spec of a config, and of what the tensors beside it say.

    Raises: SpecError for a config that no spec says exactly, every reason named.
    """
    reader = Config(
        config,
        where=where,
        architecture=family.architecture(config, architecture, where),
        variant=variant,
    )
    try:
        data = family.to_spec(reader)
    except SpecError as error:
        raise SpecError([*reader.noted, *error.problems]) from None
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        why = "a size that others are divided by is 0" if isinstance(error, ArithmeticError) else str(error)
        unfit = Problem("", f"its values fit no {family.name} model ({why})", where=where)
        raise SpecError(reader.noted or [unfit]) from error
    problems = reader.problems(
        mapping=family.name,
        fixed={**FIXED, **family.fixed},
        bookkeeping=[*BOOKKEEPING, *family.bookkeeping],
        ignore=ignore,
    )
    if problems:
        raise SpecError(problems)
    try:
        return parse(MODEL.entry(data["type"]).spec, data, path="model")
    except SpecError as error:
        raise SpecError(
            [
                Problem(each.path, f"what the config gives is refused: {each.message}", where=where)
                for each in error.problems
            ]
        ) from None


def sizes_by_default(
    family: Family, config: Mapping[str, Any], *, architecture: str | None = None
) -> dict[str, int]:
    """The integers that a config lacks, which published ones of its family have, and what `spec_of` takes for them."""
    reader = Config(config, architecture=family.architecture(config, architecture, ""))
    family.to_spec(reader)
    return {
        name: value
        for name, value in reader.by_default.items()
        if all(name in published.config for published in family.published)
    }


def config_of(spec: Any, name: str | None = None) -> tuple[Family, dict[str, Any], Any]:
    """The family a spec belongs to, its config.json, and the spec as that family writes it.

    Raises: SpecError where no family, or not the one named, can write it exactly; every key in which it differs from
    the nearest is named.
    """
    spec = resolved(spec)
    wanted = canonical(spec)
    nearest: list[tuple[tuple[bool, int, int], str, list[Difference]]] = []
    for family in [family_named(name)] if name else families():
        if (written := _written(family, spec)) is not None:
            differences = differences_of(wanted, canonical(written[1]))
            if not differences:
                return family, *written
        else:
            others = [_example(family, example, wanted) for example in family.examples]
            other = min(others, key=lambda each: _distance(_of_form(wanted, each)))
            differences = _unlike(family, wanted, other)
        nearest.append((_distance(differences), family.name, differences))
    _, family_name, differences = min(nearest, key=lambda each: each[:2])
    which = f"the {family_name} mapping cannot write it" if name else f"the nearest family is {family_name}"
    text = f"no config of transformers says this model exactly; {which}"
    if differences:
        text += f": {'; '.join(map(str, differences))}"
    raise SpecError([Problem("model", text)])


_KINDS = {"model.type", "model.inputs.type", "model.source.type", "model.tokens.type"}


def _distance(differences: Sequence[Difference]) -> tuple[bool, int, int]:
    """Models of another type or input are furthest, then those with most other parts, then with most other numbers."""
    is_other_kind = any(each.path in _KINDS for each in differences)
    return is_other_kind, sum(each.is_of_form for each in differences), len(differences)


def _written(family: Family, spec: Any) -> tuple[dict[str, Any], Any] | None:
    """The config by which a family writes a spec, and the spec that this gives; None where it has not the parts."""
    try:
        config = {"model_type": family.name, **family.to_config(spec)}
        own = spec_of(family, config)
        if canonical(own) != canonical(spec):
            variant = variant_between(family.weights(own), family.weights(spec))
            own = spec_of(family, config, variant=variant)
        return config, own
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None


def _example(family: Family, config: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A family's example as canonical data, with as many layers as are wanted, their forms in the example's order."""
    other = canonical(spec_of(family, {"model_type": family.name, **config}))
    for name in ("encoder", "decoder"):
        if name in other and name in wanted:
            layers, n = other[name]["layers"], len(wanted[name]["layers"])
            other[name] = {**other[name], "layers": [layers[i % len(layers)] for i in range(n)]}
    return other


def _of_form(wanted: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    return [each for each in differences_of(wanted, other) if each.is_of_form]


def _unlike(family: Family, wanted: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """In which keys a spec is unlike what a family writes, which has not its parts but those of an example.

    With the example's parts put in, the family may write the rest, and tells which numbers are others. Those parts
    without which it writes the spec as well are no difference.
    """
    of_form = _of_form(wanted, other)
    if (
        any(each.path in _KINDS for each in of_form)
        or (numbers := _others(family, wanted, other, ())) is None
    ):
        return of_form
    kept: list[str] = []
    for each in of_form:
        without = _others(family, wanted, other, {*kept, each.path})
        if without is not None and each.path not in {found.path for found in without}:
            kept.append(each.path)
            numbers = without
    found = [each for each in of_form if each.path not in kept]
    return found + [each for each in numbers if each.path not in {known.path for known in found}]


def _others(
    family: Family, wanted: Mapping[str, Any], other: Mapping[str, Any], kept: Container[str]
) -> list[Difference] | None:
    """What a family writes otherwise of a spec with an example's parts put in, but those kept; None: it cannot."""
    try:
        changed = from_canonical(with_parts_of(wanted, other, kept=kept))
    except SpecError:  # the parts do not go with the rest
        return None
    written = _written(family, changed)
    return None if written is None else differences_of(canonical(changed), canonical(written[1]))
