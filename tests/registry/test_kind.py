"""Registration, look-up, building, and first-use loading."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import pytest
from pydantic import Field

from registry import Kind, PluginError, Spec, SpecError, dump, kinds, parse


class WindowSpec(Spec):
    type: Literal["window"] = "window"
    n_heads: int = Field(3, ge=1)
    """Parallel heads."""
    radius: int = Field(ge=1)


class Window:
    """Looks nearby.

    More words.
    """

    def __init__(self, *, n_heads: int, radius: int, d_model: int) -> None:
        self.all = (n_heads, radius, d_model)


@pytest.fixture
def kind() -> Kind:
    kind = Kind("attention", context=("d_model",))
    kind.register("window", spec=WindowSpec, examples=[{"radius": 2}, {"radius": 5, "n_heads": 1}])(Window)
    return kind


def test_a_component_is_built_from_its_spec_and_the_context(kind: Kind) -> None:
    assert kind.build(WindowSpec(radius=7), d_model=12).all == (3, 7, 12)


def test_an_entry_says_what_it_is_and_where_it_lives(kind: Kind) -> None:
    entry = kind.entry("window")
    assert (entry.name, entry.spec, entry.builder, entry.summary) == (
        "window",
        WindowSpec,
        Window,
        "Looks nearby.",
    )
    file, _, line = entry.where.rpartition(":")
    assert file == __file__
    assert 'kind.register("window"' in Path(__file__).read_text().splitlines()[int(line) - 1]


def test_examples_are_read_as_specs(kind: Kind) -> None:
    assert kind.examples("window") == [WindowSpec(radius=2), WindowSpec(radius=5, n_heads=1)]


def test_a_function_can_be_a_component(kind: Kind) -> None:
    class ZeroSpec(Spec):
        type: Literal["zero"] = "zero"

    @kind.register("zero", spec=ZeroSpec)
    def zero(*, d_model: int) -> int:
        return -d_model

    assert kind.build(ZeroSpec(), d_model=12) == -12
    assert kind.names() == ["window", "zero"]


def test_an_unknown_name_brings_the_nearest_and_all_known(kind: Kind) -> None:
    with pytest.raises(SpecError) as caught:
        kind.entry("windwo")
    assert (
        str(caught.value) == "no attention is registered as 'windwo'; did you mean 'window'? (known: window)"
    )


@pytest.mark.parametrize("name", ["../window", "win\0dow", "w" * 10_000, ""])
def test_a_hostile_name_gets_a_short_printable_answer(kind: Kind, name: str) -> None:
    with pytest.raises(SpecError, match="known: window") as caught:
        kind.entry(name)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_taken_name_says_where_the_first_lives(kind: Kind) -> None:
    where = kind.entry("window").where
    with pytest.raises(
        ValueError, match=r"attention 'window' is already registered at .*test_kind\.py:\d+;"
    ) as caught:
        kind.register("window", spec=WindowSpec)(Window)
    assert where in str(caught.value)


def test_another_kind_s_spec_is_no_blueprint(kind: Kind) -> None:
    class OtherSpec(Spec):
        type: Literal["window"] = "window"

    with pytest.raises(TypeError, match="is built from a WindowSpec"):
        kind.build(OtherSpec(), d_model=12)


def _missing(*, n_heads: int, d_model: int) -> None: ...
def _extra(*, n_heads: int, radius: int, d_model: int, dropout: float) -> None: ...
def _default(*, n_heads: int, radius: int = 3, d_model: int) -> None: ...
def _positional(n_heads: int, *, radius: int, d_model: int) -> None: ...
def _open(*, n_heads: int, radius: int, d_model: int, **rest: int) -> None: ...


@pytest.mark.parametrize(
    ("builder", "complaint"),
    [
        (_missing, "only WindowSpec and the kind's context give: radius"),
        (_extra, "only the constructor takes: dropout"),
        (_default, "keyword-only and without defaults: radius"),
        (_positional, "keyword-only and without defaults: n_heads"),
        (_open, r"keyword-only and without defaults: \*\*rest"),
    ],
)
def test_a_constructor_that_differs_from_its_spec_is_refused(
    builder: Callable[..., Any], complaint: str
) -> None:
    kind = Kind("attention", context=("d_model",))
    with pytest.raises(TypeError, match=complaint):
        kind.register("window", spec=WindowSpec)(builder)
    assert kind.names() == []


class SoftWindowSpec(WindowSpec):
    type: Literal["soft"] = "soft"  # type: ignore[assignment]
    slope: int = 4


class SoftWindow(Window):
    def __init__(self, *, slope: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.slope = slope


def test_a_component_extends_another_and_names_only_what_is_new(kind: Kind) -> None:
    kind.register("soft", spec=SoftWindowSpec)(SoftWindow)
    built = kind.build(SoftWindowSpec(radius=2, slope=7), d_model=12)
    assert (built.slope, built.all) == (7, (3, 2, 12))
    assert dump(SoftWindowSpec(radius=2)) == {"type": "soft", "n_heads": 3, "radius": 2, "slope": 4}


def test_an_extension_of_an_extension_names_what_all_of_them_take(kind: Kind) -> None:
    class WarmSpec(SoftWindowSpec):
        type: Literal["warm"] = "warm"  # type: ignore[assignment]
        heat: int

    class Warm(SoftWindow):
        def __init__(self, *, heat: int, **inherited: Any) -> None:
            super().__init__(**inherited)
            self.heat = heat

    kind.register("warm", spec=WarmSpec)(Warm)
    built = kind.build(WarmSpec(radius=2, heat=5), d_model=12)
    assert (built.heat, built.slope, built.all) == (5, 4, (3, 2, 12))


def test_an_extension_s_constructor_is_held_against_its_spec(kind: Kind) -> None:
    class OtherSpec(Spec):
        type: Literal["soft"] = "soft"
        radius: int
        width: int

    complaint = (
        r"only the constructor, with what \*\*inherited passes on to Window, takes: n_heads, slope; "
        "only OtherSpec and the kind's context give: width"
    )
    with pytest.raises(TypeError, match=complaint):
        kind.register("soft", spec=OtherSpec)(SoftWindow)


def test_what_an_extension_passes_on_must_be_named_by_someone(kind: Kind) -> None:
    class Lost:
        def __init__(self, *, slope: int, **inherited: Any) -> None: ...

    with pytest.raises(TypeError, match=r"those of object, .* included\): \*args, \*\*kwargs"):
        kind.register("soft", spec=SoftWindowSpec)(Lost)


def test_a_spec_must_carry_the_registered_name() -> None:
    with pytest.raises(TypeError, match='WindowSpec needs the field `type: Literal\\["door"\\] = "door"`'):
        Kind("attention", context=("d_model",)).register("door", spec=WindowSpec)(Window)


def test_a_spec_s_type_must_be_its_default() -> None:
    class DoorSpec(Spec):
        type: Literal["door"]

    with pytest.raises(TypeError, match="DoorSpec needs the field `type"):
        Kind("part").register("door", spec=DoorSpec)(lambda: None)


def test_a_spec_must_not_hold_what_the_kind_hands_in() -> None:
    with pytest.raises(TypeError, match="WindowSpec has radius, which the kind hands in"):
        Kind("attention", context=("d_model", "radius")).register("window", spec=WindowSpec)(Window)


# A kind as the type of a field


def _holder(kind: Kind, none: bool = False) -> type[Spec]:
    class HolderSpec(Spec):
        part: Annotated[Spec | None if none else Spec, kind]

    return HolderSpec


def test_a_field_of_a_kind_takes_a_mapping_or_a_spec(kind: Kind) -> None:
    holder = _holder(kind)
    spec = parse(holder, {"part": {"type": "window", "radius": 7}})
    assert spec == holder(part=WindowSpec(radius=7))
    assert dump(spec) == {"part": {"type": "window", "n_heads": 3, "radius": 7}}
    assert parse(holder, dump(spec)) == spec
    assert hash(parse(holder, dump(spec))) == hash(spec)


def test_a_field_of_a_kind_takes_a_bare_name() -> None:
    kind = Kind("norm")

    class PlainSpec(Spec):
        type: Literal["plain"] = "plain"
        eps: float = 1e-5

    kind.register("plain", spec=PlainSpec)(lambda *, eps: eps)

    class HolderSpec(Spec):
        part: Annotated[Spec, kind] = Field("plain")
        parts: tuple[Annotated[Spec, kind], ...] = ()

    assert parse(HolderSpec, {"parts": ["plain", {"type": "plain", "eps": 1}]}) == HolderSpec(
        part=PlainSpec(), parts=(PlainSpec(), PlainSpec(eps=1.0))
    )


def test_null_is_taken_only_where_the_field_says_so(kind: Kind) -> None:
    assert dump(parse(_holder(kind, none=True), {"part": None})) == {"part": None}
    with pytest.raises(
        SpecError, match=r"^part: must be a component of kind attention .*, got null; zoo list attention$"
    ):
        parse(_holder(kind), {"part": None})


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("windwo", "part: no attention is registered as 'windwo'; did you mean 'window'? (known: window)"),
        ({"type": "x"}, "part.type: no attention is registered as 'x'; known: window"),
        ({"type": 3}, "part.type: must be the name of a component, got 3"),
        ({"radius": 3}, "part.type: missing key; give the name of a component (known: window)"),
        ("window", "part.radius: missing key; give an integer, at least 1; for example radius: 2"),
        ({"type": "window", "radius": 0}, "part.radius: must be at least 1, got 0"),
        (
            {"type": "window", "raduis": 0, "radius": 1},
            "part.raduis: unknown key; did you mean 'part.radius'?",
        ),
        (
            [],
            "part: must be a component of kind attention (its name, or a mapping with 'type'), got []; "
            "zoo list attention",
        ),
    ],
)
def test_a_wrong_component_is_refused_where_it_stands(kind: Kind, part: Any, line: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(_holder(kind), {"part": part})
    assert str(caught.value) == line


def test_a_spec_of_another_kind_is_refused(kind: Kind) -> None:
    class StrangerSpec(Spec):
        type: Literal["window"] = "window"

    with pytest.raises(SpecError, match="part: must be a spec of kind attention, got a StrangerSpec"):
        parse(_holder(kind), {"part": StrangerSpec()})


# First use


COMPONENT = """
from typing import Literal
from registry import Spec
from {package}.{kinds} import KIND

class {title}Spec(Spec):
    type: Literal["{name}"] = "{name}"
    size: int = 1
    \"\"\"How big.\"\"\"

@KIND.register("{name}", spec={title}Spec)
class {title}:
    def __init__(self, *, size: int) -> None: ...
"""


def _package(folder: Path, package: str, **modules: str) -> None:
    (folder / package / "parts").mkdir(parents=True)
    for place in ("__init__.py", "parts/__init__.py"):
        (folder / package / place).touch()
    (folder / package / "kinds.py").write_text(
        f"from registry import Kind\nKIND = Kind('part', package='{package}.parts')\n"
    )
    for name, text in modules.items():
        (folder / package / "parts" / f"{name}.py").write_text(text)


def _component(package: str, name: str) -> str:
    return COMPONENT.format(package=package, kinds="kinds", name=name, title=name.title())


def test_the_package_is_imported_at_the_first_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(tmp_path, "first_use", red=_component("first_use", "red"), _private="raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    from first_use.kinds import KIND

    assert "first_use.parts.red" not in sys.modules
    assert KIND.names() == ["red"]
    assert "first_use.parts._private" not in sys.modules


def test_a_module_that_fails_is_named_and_can_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = _component("mended", "red") + "\nimport there_is_no_such_module\n"
    _package(tmp_path, "mended", red=broken, blue=_component("mended", "blue"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from mended.kinds import KIND

    complaint = (
        r"part: the component module mended\.parts\.red cannot be imported: ModuleNotFoundError: .*no_such"
    )
    with pytest.raises(PluginError, match=complaint):
        KIND.names()
    with pytest.raises(PluginError, match=complaint):  # as it is, and not as a problem of the field's
        parse(_holder(KIND), {"part": "blue"})
    (tmp_path / "mended" / "parts" / "red.py").write_text(_component("mended", "red"))
    assert KIND.names() == ["blue", "red"]


def test_threads_that_look_up_at_once_load_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "import time\ntime.sleep(0.05)\n"
    _package(tmp_path, "threads", **{n: slow + _component("threads", n) for n in ("red", "blue")})
    monkeypatch.syspath_prepend(tmp_path)
    from threads.kinds import KIND

    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(KIND.names())) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["blue", "red"]] * 7


def test_importing_the_registry_imports_no_torch_and_is_quick() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import registry; "
        "print(time.perf_counter() - start, [m for m in ('torch', 'lightning', 'yaml') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    seconds, _, heavy = answer.partition(" ")
    assert heavy.strip() == "[]"
    assert float(seconds) < 2  # 0.09 s on an idle machine; this one is shared


def test_a_check_that_takes_other_names_than_it_is_called_with_is_refused():
    kind = Kind("part", context=("width",), check=("width", "role"))

    class OldSpec(Spec):
        type: Literal["old"] = "old"

        def check(self, *, width: int) -> None:
            raise ValueError

    with pytest.raises(
        TypeError, match=r"OldSpec\.check is called as check\(width=, role=\), but takes: width"
    ):
        kind.register("old", spec=OldSpec)(lambda *, width: width)


def test_kinds_list_themselves_by_name() -> None:
    made = [Kind("post"), Kind("gate")]
    assert list(kinds()) == made[::-1]


def test_the_name_of_a_kind_may_not_be_taken() -> None:
    Kind("gate")
    with pytest.raises(ValueError, match=r"a kind is already called 'gate', at .*test_kind\.py:\d+; choose"):
        Kind("gate")


def test_a_kind_made_again_by_the_same_line_replaces_itself() -> None:
    made = [Kind("gate") for _ in range(2)]
    assert kinds() == (made[1],)


def test_a_contract_is_told_from_its_protocol() -> None:
    class Gate(Protocol):
        """check(width=) of the spec."""

        def __call__(self, x: int, *, by: int = 1) -> int:
            """x -> x, if
            it may pass.
            """

        def close(self) -> None:
            """Lets nothing pass."""

    kind = Kind("gate", contract=Gate)
    assert kind.protocol is Gate
    assert kind.contract == (
        "__call__(x, *, by=1): x -> x, if it may pass; close(): Lets nothing pass; check(width=) of the spec"
    )
