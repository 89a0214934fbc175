"""What an ablation will do, known before its first step: the variants, what they cost, and every training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from registry import Difference, differences
from zoo.ablation.spec import SEED, AblationSpec, combinations, override_words
from zoo.run.spec import RunSpec, load
from zoo.storage.hashing import sha256_of_text

_LONGEST_SLUG = 80  # characters of a folder's name

TUNING_SEED = 0
"""Of the trainings that only look for a better setting; where an ablation uses it itself, the next free one."""


@dataclass(frozen=True)
class Variant:
    """One of the models that are compared."""

    name: str
    overrides: tuple[str, ...]
    """Of the base, in the order they are given, those that match it included."""
    run: RunSpec
    note: str = ""
    """How it was made equal to the base; empty where nothing had to be done."""

    def differences(self, other: Variant) -> list[Difference]:
        """What its spec has other than another's, the base's say."""
        return differences(other.run, self.run)


@dataclass(frozen=True)
class Trial:
    """One training of a variant."""

    variant: str
    seed: int
    tried: tuple[str, ...] = ()
    """What a tuning tries; empty for what is compared."""

    @property
    def place(self) -> Path:
        """Its run folder within the ablation's."""
        folder = Path("runs") / slug(self.variant)
        return (
            folder / f"seed-{self.seed}" if not self.tried else folder / "tuning" / slug(" ".join(self.tried))
        )

    @property
    def name(self) -> str:
        """As it is called in messages."""
        what = f"seed {self.seed}" if not self.tried else f"trying {', '.join(self.tried)}"
        return f"{self.variant}, {what}"


@dataclass(frozen=True)
class Plan:
    """An ablation whose every variant has been checked."""

    spec: AblationSpec
    source: str
    """What the base is read from."""
    given: tuple[str, ...]
    """Overrides of all variants, from the command line."""
    variants: tuple[Variant, ...]
    """The base first."""
    same: tuple[tuple[str, str], ...] = ()
    """Those that turned out to be another before them, by both names, such as a factor's own value and the base."""

    @property
    def base(self) -> Variant:
        return self.variants[0]

    @property
    def tuning(self) -> list[Trial]:
        """The short trainings that come first."""
        tried = [override_words(keys) for keys in combinations(self.spec.tune)] if self.spec.tune else []
        seed = next(n for n in range(TUNING_SEED, len(self.spec.seeds) + 1) if n not in self.spec.seeds)
        return [Trial(variant.name, seed, words) for variant in self.variants for words in tried]

    @property
    def trials(self) -> list[Trial]:
        """What is compared: a seed of all variants before the next seed, so that whole pairs come first."""
        return [Trial(variant.name, seed) for seed in self.spec.seeds for variant in self.variants]

    def variant(self, name: str) -> Variant:
        return next(each for each in self.variants if each.name == name)

    def steps(self, trial: Trial) -> int:
        training = self.variant(trial.variant).run.training
        assert training is not None
        return min(self.spec.tune_steps, training.max_steps) if trial.tried else training.max_steps

    def run(self, trial: Trial, chosen: Sequence[str] = ()) -> RunSpec:
        """A trial's own spec; chosen is what tuning found for its variant.

        Raises: SpecError.
        """
        variant = self.variant(trial.variant)
        own = override_words({SEED: trial.seed})
        if trial.tried:
            own += override_words({"training.max_steps": self.steps(trial)})
        return self.load((*variant.overrides, *chosen, *trial.tried, *own))

    def load(self, overrides: Sequence[str]) -> RunSpec:
        """The base with what all variants have, and further overrides. Raises: PresetError, SpecError."""
        common = (*override_words(self.spec.overrides), *self.given)
        return load(self.source, *common, *overrides, scale=self.spec.scale)


def slug(name: str) -> str:
    """A name as that of a folder; a long one, as of a mapping that a factor takes, is cut and told apart by a hash."""
    text = re.sub(r"[^\w.=-]+", "_", name).strip("_.") or "variant"
    return text if len(text) <= _LONGEST_SLUG else f"{text[:_LONGEST_SLUG]}-{sha256_of_text(name)[:8]}"
