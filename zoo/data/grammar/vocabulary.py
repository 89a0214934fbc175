"""The tables of lexicon.py as objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from zoo.data.grammar import lexicon

Words = tuple[str, str]
"""An English and a German expression."""


@dataclass(slots=True, eq=False)
class Noun:
    """A noun in both languages; `kind` is its class, compounds share their head's inflection."""

    kind: str
    english: str
    english_plural: str
    german: str
    gender: str
    german_plural: str
    genitive: str

    @property
    def is_weak(self) -> bool:
        """Whether accusative and dative singular take the genitive's form (der Student, den Studenten)."""
        return self.gender == "m" and not self.genitive.endswith("s")


@dataclass(slots=True, eq=False)
class Place(Noun):
    """A place, with the prepositions for being there and for going there."""

    at: tuple[str, str]
    to: tuple[str, str]
    to_case: str


@dataclass(slots=True, eq=False)
class Adjective:
    """An adjective in both languages; the comparatives are empty where none is used."""

    english: str
    english_comparative: str
    german: str
    german_comparative: str
    stem: str


@dataclass(slots=True, eq=False)
class Verb:
    """A verb in both languages; `takes` are the classes of its object or, without one, of its subject."""

    english: str
    particle: str
    preposition: str
    past: str
    infinitive: str
    prefix: str
    is_reflexive: bool
    du: str
    er: str
    participle: str
    has_sein: bool
    complement: tuple[str, str, str]
    takes: tuple[str, ...]


@dataclass(slots=True)
class Vocabulary:
    """The tables, read."""

    nouns: dict[str, list[Noun]]
    """By class; the compounds are apart."""
    compounds: dict[str, list[Noun]]
    places: list[Place]
    sides: list[Words]
    adjectives: dict[str, list[Adjective]]
    """By the class of noun they are said of."""
    verbs: dict[str, list[Verb]]
    """By frame."""
    transitive_by_object: dict[str, list[Verb]]
    names: list[tuple[str, str]]
    """First name and gender."""
    times: dict[str, list[list[Words]]]
    """By tense: expressions, each with all its forms."""
    frequencies: list[Words]
    numbers: list[Words]
    subordinators: list[tuple[Words, str, str]]
    """The conjunction, the main clause's tense and the subordinate clause's."""
    conjunctions: list[Words]
    question_words: list[Words]


@cache
def vocabulary() -> Vocabulary:
    """Reads the tables."""
    nouns = {kind: [_noun(kind, row) for row in _rows(table)] for kind, table in lexicon.NOUNS.items()}
    compounds = _compounds(nouns)
    places = [_place(row) for row in _rows(lexicon.PLACES)]
    nouns["place"] = [*places]
    verbs = {frame: [_verb(frame, row) for row in _rows(table)] for frame, table in lexicon.VERBS.items()}
    return Vocabulary(
        nouns=nouns,
        compounds=compounds,
        places=places,
        sides=[(english, german) for english, german in _rows(lexicon.SIDES)],
        adjectives=_adjectives(nouns),
        verbs=verbs,
        transitive_by_object={kind: [v for v in verbs["transitive"] if kind in v.takes] for kind in nouns},
        names=[(name, gender) for gender, names in lexicon.NAMES.items() for name in names.split()],
        times=_times(),
        frequencies=_words(lexicon.FREQUENCIES),
        numbers=_words(lexicon.FILLERS["N"]),
        subordinators=[
            ((english, german), main, second)
            for english, german, tenses in _rows(lexicon.SUBORDINATORS)
            for main, second in [tenses.split()]
        ],
        conjunctions=_words(lexicon.CONJUNCTIONS),
        question_words=_words(lexicon.QUESTION_WORDS),
    )


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


def _words(table: str) -> list[Words]:
    """`how often wie oft | why warum`: each entry's first half is English, its second German."""
    entries = [entry.split() for entry in table.split("|")]
    return [(" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])) for words in entries]


def _noun(kind: str, row: list[str]) -> Noun:
    english, plural, german, gender, german_plural, *genitive = row
    return Noun(
        kind, english, plural or english + "s", german, gender, german_plural, *(genitive or [german])
    )


def _place(row: list[str]) -> Place:
    english, plural, german, gender, german_plural, genitive, at, to, case = row
    at_english, at_german = at.split()
    to_english, to_german = to.split()
    return Place(
        "place", english, plural or english + "s", german, gender, german_plural, genitive or german,
        (at_english, at_german), (to_english, to_german), case,
    )  # fmt: skip


def _compounds(nouns: dict[str, list[Noun]]) -> dict[str, list[Noun]]:
    heads = {noun.english: noun for group in nouns.values() for noun in group}
    compounds: dict[str, list[Noun]] = {}
    for line in lexicon.COMPOUNDS.strip().splitlines():
        ends, begins = line.split(":")
        for head in (heads[end] for end in ends.split()):
            for english, german in _words(begins):
                compounds.setdefault(head.kind, []).append(_compound(english, german, head))
    return compounds


def _compound(english: str, german: str, head: Noun) -> Noun:
    """A compound inflects like its head."""
    names = (f"{english} {head.english}", f"{english} {head.english_plural}", german + head.german.lower())
    return Noun(
        head.kind, *names, head.gender, german + head.german_plural.lower(), german + head.genitive.lower()
    )


def _adjectives(nouns: dict[str, list[Noun]]) -> dict[str, list[Adjective]]:
    adjectives: dict[str, list[Adjective]] = {}
    for english, comparative, german, german_comparative, kinds in _rows(lexicon.ADJECTIVES):
        stem = {"teuer": "teur", "dunkel": "dunkl", "müde": "müd"}.get(german, german)
        for kind in kinds.split():
            adjective = Adjective(english, comparative, german, german_comparative, stem)
            adjectives.setdefault(kind, []).append(adjective)
    return {kind: adjectives.get(kind, adjectives["thing"]) for kind in nouns}


def _verb(frame: str, row: list[str]) -> Verb:
    english, past, infinitive, du, er, participle, takes = row
    complement = ("", "", "")
    if frame == "prepositional":
        prepositions, takes = takes.split(":")
        english_preposition, german_preposition, case = prepositions.split()
        complement = (english_preposition, german_preposition, case)
    base, _, particle = english.partition("_")
    base, _, fixed = base.partition("+")
    prefix, _, stem = infinitive.removeprefix("sich ").rpartition("·")
    classes = " ".join(lexicon.CLASSES.get(name, name) for name in takes.split())
    return Verb(
        english=base, particle=particle, preposition=fixed, past=past, infinitive=stem, prefix=prefix,
        is_reflexive=infinitive.startswith("sich "), du=du, er=er, participle=participle.split()[0],
        has_sein=participle.endswith(" sein"), complement=complement, takes=tuple(classes.split()),
    )  # fmt: skip


def _times() -> dict[str, list[list[Words]]]:
    times: dict[str, list[list[Words]]] = {"present": [], "past": [], "future": []}
    for tense, english, german in _rows(lexicon.TIMES):
        for name in times if tense == "any" else (tense,):
            times[name].append(_filled(english, german))
    return times


def _filled(english: str, german: str) -> list[Words]:
    """Every form of a time expression, its placeholders filled in."""
    forms = [(english, german)]
    for name, table in lexicon.FILLERS.items():
        if name in english.split():
            forms = [
                (e.replace(name, in_english, 1), g.replace(name, in_german, 1))
                for e, g in forms
                for in_english, in_german in _words(table)
            ]
    return forms
