"""Laws tried one by one, and what came of each: what the tests, the command and pytest share."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from registry import suggest
from registry.problems import did_you_mean, nearest
from zoo.conformance.laws import LAWS
from zoo.conformance.trials import Law, Part

Result = Literal["passed", "failed", "not applicable", "expected failure", "unexpected pass"]

MADE = "it_can_be_built"
"""What stands in the place of all laws for a part that cannot."""
MADE_TEXT = "The part can be built."


@dataclass(frozen=True)
class Finding:
    """What came of one law for one part."""

    part: str
    """Which of those tried."""
    law: str
    text: str
    """The law in one sentence."""
    result: Result
    detail: str = ""
    """What was expected and found, why the law says nothing of the part, or why it is known to break it."""
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong: what was to fail must fail."""
        return self.result not in ("failed", "unexpected pass")


def findings(
    parts: Mapping[str, Part], *, slow: bool = False, expected_failures: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Every law of every part, law by law, tried as it is asked for; the slow ones only on demand.

    A part that cannot be built has one finding, of `MADE`, instead of a failure of each law.
    expected_failures: reasons by the name of a law, or by `PART: LAW` for one of the parts; those that a part's own
        spec documents come on top.
    Raises: ValueError for an expected failure of what is not tried.
    """
    expected = expected_failures or {}
    check_expected(parts, expected)
    unmade = {}
    for name, part in parts.items():
        start = time.perf_counter()
        if why := _unmade(part):
            unmade[name] = Finding(name, MADE, MADE_TEXT, "failed", why, time.perf_counter() - start)
    yield from unmade.values()
    for law in dict.fromkeys(law for part in parts.values() for law in LAWS[part.kind.name]):
        for name, part in parts.items():
            if name in unmade or law not in LAWS[part.kind.name]:
                continue
            if why := law.unless(part) or ("slow: asked for by --slow" if law.is_slow and not slow else ""):
                yield Finding(name, law.name, law.text, "not applicable", why)
            else:
                yield _tried(name, part, law, reason_for(name, part, law, expected))


def _unmade(part: Part) -> str:
    """Why a part cannot be built; empty where it can."""
    try:
        part.make()
    except Exception as error:  # a part of anybody's may raise anything
        why = f"{_place(part, error)}{type(error).__name__}: {_line(str(error))}"
        return f"it cannot be built, so that no law can be tried: {why}"
    return ""


def reason_for(name: str, part: Part, law: Law, expected: Mapping[str, str]) -> str:
    """Why a part is known to break a law; empty where it is not."""
    return expected.get(f"{name}: {law.name}") or expected.get(law.name) or part.expected.get(law.name) or ""


def check_expected(parts: Mapping[str, Part], expected: Mapping[str, str]) -> None:
    """Raises: ValueError for an expected failure of what is not tried."""
    tried = {name: {law.name for law in LAWS[part.kind.name]} for name, part in parts.items()}
    known = {law for names in tried.values() for law in names}
    known |= {f"{part}: {law}" for part, names in tried.items() for law in names}
    for key, reason in expected.items():
        if key not in known:
            part, _, law = key.rpartition(": ")
            laws = {name for names in tried.values() for name in names}
            if law in laws:
                raise ValueError(f"no part that is tried is called '{part}'; {suggest(part, tried)}")
            kind = next(iter(parts.values())).kind.name
            nearby = _meant(law, laws) or f"{len(laws)} are tried: zoo conform --laws {kind}"
            raise ValueError(f"no law that is tried is called '{law}'; {nearby}")
        if not reason.strip():
            raise ValueError(f"the expected failure of '{key}' has no reason; say why it may fail")


def _meant(name: str, laws: Iterable[str]) -> str:
    """A guess at a law, by its whole name or by one word of it."""
    words = {word: law for law in sorted(laws) for word in law.split("_") if len(word) > 4}
    word = nearest(name, words)
    return did_you_mean(name, laws) or (f"did you mean '{words[word]}'?" if word else "")


def broken(law: Law, part: Part) -> str:
    """How a part breaks a law, in one line; empty where it keeps it.

    An error of the part's own, a mistake in its code, breaks the law as well.
    """
    try:
        law.check(part)
    except AssertionError as error:
        return _line(str(error)) or "an assertion of the part's own fails"
    except Exception as error:  # a part of anybody's may raise anything
        return f"{_place(part, error)}{type(error).__name__}: {_line(str(error))}"
    return ""


def _place(part: Part, error: BaseException) -> str:
    """`file:line: ` of the deepest frame in the file of a registered part; empty where it passed by none."""
    name = part.spec.type if part.spec else ""
    file = next((e.where.rpartition(":")[0] for e in part.kind.registered() if e.name == name), "")
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{file}:{lines[-1]}: " if lines else ""


def _tried(name: str, part: Part, law: Law, reason: str) -> Finding:
    start = time.perf_counter()
    found = broken(law, part)
    seconds = time.perf_counter() - start
    if reason:
        result: Result = "expected failure" if found else "unexpected pass"
        detail = f"{reason} ({found})" if found else f"it was expected to fail: {reason}"
        return Finding(name, law.name, law.text, result, detail, seconds)
    return Finding(name, law.name, law.text, "failed" if found else "passed", found, seconds)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
