"""What a sentence means, before either language says it.

A tree holds entries of the lexicon and choices (tense, number, determiner); zoo/data/grammar/english.py and
german.py each turn it into words, and neither looks at the other's words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zoo.data.grammar.vocabulary import Adjective, Noun, Verb, Words

Tense = Literal["present", "past"]
Modal = Literal["", "will", "can", "should", "may", "want", "have"]
Determiner = Literal[
    "the", "a", "this", "every", "my", "your", "his", "her", "our", "some", "many", "all", "bare", "which"
]


@dataclass(slots=True)
class Pronoun:
    """A personal pronoun; its gender is that of the German noun it stands for."""

    person: int
    is_plural: bool
    gender: str = ""
    is_thing: bool = False


@dataclass(slots=True)
class Name:
    """A first name."""

    text: str
    gender: str
    person: int = 3
    is_plural: bool = False


@dataclass(slots=True)
class Phrase:
    """A noun with what belongs to it: `the teacher's old dog that ...`. An owner replaces the determiner."""

    noun: Noun
    is_plural: bool
    determiner: Determiner
    adjective: Adjective | None = None
    number: Words | None = None
    owner: Name | Phrase | None = None
    relative: Clause | None = None
    """A clause whose subject or object is this phrase."""
    person: int = 3

    @property
    def is_definite(self) -> bool:
        """Whether a German adverbial goes behind it rather than before it, and its negation is `nicht`."""
        return self.owner is not None or self.determiner not in ("a", "bare", "some", "many")


@dataclass(slots=True)
class Both:
    """Two persons joined by `and`."""

    left: Name | Phrase
    right: Name | Phrase
    person: int = 3
    is_plural: bool = True


NounPhrase = Pronoun | Name | Phrase | Both


@dataclass(slots=True)
class Whereabouts:
    """A place or a thing, with a preposition: something is there (case dat) or goes there (case acc)."""

    english: str
    german: str
    case: str
    phrase: Phrase


@dataclass(slots=True)
class Clause:
    """A verb with its subject, objects and adverbials. `verb` None is `to be` with a property."""

    subject: NounPhrase | None
    """None where a relative or infinitive clause leaves it out."""
    verb: Verb | None
    tense: Tense = "present"
    modal: Modal = ""
    is_negated: bool = False
    indirect: NounPhrase | None = None
    """A German dative."""
    object: NounPhrase | None = None
    """A German accusative."""
    complement: NounPhrase | None = None
    """What the verb's own preposition governs."""
    companion: NounPhrase | None = None
    whereabouts: Whereabouts | None = None
    time: Words | None = None
    frequency: Words | None = None
    adjective: Adjective | None = None
    than: Name | Phrase | None = None
    gap: Literal["", "subject", "object"] = ""
    """What a relative clause takes from outside."""
    person: int = 3
    """The subject's, kept here for clauses without one."""
    is_plural: bool = False


Shape = Literal[
    "statement", "time first", "place first", "yes or no", "asked", "who", "which", "joined",
    "subordinate last", "subordinate first", "that", "whether", "infinitive", "purpose",
]  # fmt: skip


@dataclass(slots=True)
class Sentence:
    """One clause or two, put together in the way that `shape` names."""

    shape: Shape
    main: Clause
    second: Clause | None = None
    link: Words = ("", "")
    """The conjunction or question word."""
