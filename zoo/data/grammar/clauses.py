"""Draws clauses: a verb with all that it takes, in a tense, perhaps negated."""

from __future__ import annotations

from typing import Literal

from zoo.data.grammar.chance import Chance
from zoo.data.grammar.lexicon import STATIVE
from zoo.data.grammar.phrases import Phrases
from zoo.data.grammar.tree import Clause, Modal, Name, NounPhrase, Phrase, Pronoun, Tense
from zoo.data.grammar.vocabulary import Verb, Vocabulary, Words

Frame = Literal[
    "transitive", "property", "dative", "giving", "prepositional", "moving", "intransitive", "placing",
    "standing", "owning",
]  # fmt: skip
FRAMES: dict[Frame, int] = {
    "transitive": 38, "property": 12, "dative": 9, "giving": 11, "prepositional": 10, "moving": 8,
    "intransitive": 7, "placing": 2, "standing": 1, "owning": 2,
}  # fmt: skip
ACTIONS: dict[Frame, int] = {
    "transitive": 51, "dative": 9, "giving": 11, "prepositional": 10, "moving": 8, "intransitive": 7,
    "placing": 4,
}  # fmt: skip
MODALS: dict[Modal, int] = {"": 66, "will": 12, "can": 6, "should": 4, "may": 2, "want": 6, "have": 4}
PROPERTY_SUBJECTS = (
    "person", "person", "person", "animal", "text", "clothing", "device", "furniture", "vehicle", "place",
    "food", "container", "belonging",
)  # fmt: skip
# Where a verb leaves room for a place that it does not ask for.
ROOMY: frozenset[Frame] = frozenset({"transitive", "dative", "giving", "intransitive"})


class Clauses:
    """Draws clauses."""

    def __init__(self, chance: Chance, words: Vocabulary, phrases: Phrases) -> None:
        self._chance = chance
        self._words = words
        self._phrases = phrases

    def clause(
        self,
        frame: Frame | None = None,
        *,
        subject: NounPhrase | None = None,
        tense: Tense | None = None,
        can_be_negated: bool = True,
    ) -> Clause:
        """Any clause, or one with that frame, subject or tense."""
        if frame is None:
            drawn = self._chance.weighted(FRAMES)
            frame = drawn
        if subject is not None and frame in ("standing", "owning"):  # a person's verb for a person
            frame = "transitive"
        is_negated = can_be_negated and self._chance.of(14)
        if frame == "property":
            return self._property(subject, tense, is_negated)
        verb = self._chance.pick(self._words.verbs[frame])
        clause = agreeing(
            Clause(subject or self._subject(frame, verb, is_negated), verb, is_negated=is_negated)
        )
        self._set_objects(clause, frame, verb)
        self.set_tense(clause, tense)
        self._set_adverbials(clause, frame)
        return clause

    def action(self, *, subject: NounPhrase | None = None, tense: Tense | None = None) -> Clause:
        """A clause in which someone does something."""
        frame = self._chance.weighted(ACTIONS)
        return self.clause(frame, subject=subject, tense=tense)

    def infinitive(self, main: Clause) -> Clause:
        """A clause without subject for someone's purpose or attempt: something that can be done at will."""
        while True:
            frame: Frame = self._chance.pick(("transitive", "transitive", "dative", "giving"))
            clause = self.clause(frame, subject=main.subject, can_be_negated=False)
            if clause.verb is not None and clause.verb.english not in STATIVE:
                break
        clause.subject = clause.time = clause.frequency = None
        clause.modal = ""
        return clause

    def set_tense(self, clause: Clause, tense: Tense | None = None) -> None:
        """Sets tense and modal verb."""
        clause.tense = tense or ("past" if self._chance.of(32) else "present")
        if tense != "past":
            clause.modal = self._modal(clause)
            if clause.modal not in ("", "want", "have"):  # the others have no past here
                clause.tense = "present"
        disambiguate(clause)

    def hang_relative(self, clause: Clause) -> None:
        """Hangs a relative clause on the subject, or on an object that nothing follows in German."""
        if clause.is_negated or clause.verb is None:
            return
        verb_ends = (
            clause.modal or clause.tense == "past" or clause.verb.prefix or clause.whereabouts is not None
        )
        if self._chance.of(16) and isinstance(clause.subject, Phrase):
            self._hang(clause.subject)
        elif self._chance.of(45) and isinstance(clause.object, Phrase) and not verb_ends:
            self._hang(clause.object)

    def time(self, clause: Clause) -> Words:
        """A time that goes with the clause's tense."""
        tense = "past" if clause.tense == "past" else "future" if clause.modal == "will" else "present"
        return self._chance.pick(self._chance.pick(self._words.times[tense]))

    def _subject(self, frame: Frame, verb: Verb, is_negated: bool) -> NounPhrase:
        kind = "person"
        if frame in ("standing", "owning"):
            kind = self._chance.pick(verb.takes)
        elif frame in ("intransitive", "moving") and "animal" in verb.takes and self._chance.of(40):
            kind = "animal"
        if kind == "person":
            return self._phrases.subject(is_definite=is_negated)
        return self._phrases.definite(kind) if is_negated else self._phrases.phrase(kind)

    def _set_objects(self, clause: Clause, frame: Frame, verb: Verb) -> None:
        is_negated = clause.is_negated
        if frame in ("transitive", "giving", "placing"):
            clause.object = self._object(self._chance.pick(verb.takes), clause, is_negated=is_negated)
        if frame == "dative":
            clause.indirect = self._object(
                self._chance.pick(verb.takes), clause, is_definite=is_negated, is_negated=is_negated
            )
        if frame in ("giving", "owning"):
            clause.indirect = self._object("person", clause, is_definite=frame == "giving" or is_negated)
        if frame == "prepositional":
            clause.complement = self._object(self._chance.pick(verb.takes), clause, is_definite=is_negated)
        if frame in ("placing", "standing"):
            clause.whereabouts = self._phrases.beside("acc" if frame == "placing" else "dat")
        if frame == "moving":
            clause.whereabouts = self._phrases.thither()

    def _object(
        self, kind: str, clause: Clause, *, is_definite: bool = False, is_negated: bool = False
    ) -> NounPhrase:
        if kind == "person":
            return self._phrases.other(clause.subject, is_definite=is_definite, is_negated=is_negated)
        return (
            self._phrases.definite(kind) if is_definite else self._phrases.phrase(kind, is_negated=is_negated)
        )

    def _modal(self, clause: Clause) -> Modal:
        modal = self._chance.weighted(MODALS)
        if clause.verb is not None and clause.verb.english in STATIVE:
            return ""
        if isinstance(clause.subject, Phrase) and clause.subject.noun.kind not in ("person", "animal"):
            return "will" if modal == "will" else ""
        return modal

    def _set_adverbials(self, clause: Clause, frame: Frame) -> None:
        is_stative = clause.verb is not None and clause.verb.english in STATIVE
        is_free = (
            not clause.is_negated or frame == "intransitive"
        )  # else `nicht` would seem to mean the place
        if frame in ROOMY and is_free and not is_stative and self._chance.of(20):
            clause.whereabouts = self._phrases.there()
        if frame in ("moving", "intransitive") and not clause.is_negated and self._chance.of(20):
            clause.companion = self._phrases.other(clause.subject)
        if self._chance.of(30):
            clause.time = self.time(clause)
        elif not clause.is_negated and clause.modal in ("", "will", "can") and self._chance.of(18):
            clause.frequency = self._chance.pick(self._words.frequencies)

    def _property(self, subject: NounPhrase | None, tense: Tense | None, is_negated: bool) -> Clause:
        """Someone or something is old, or older than another."""
        if subject is None:
            kind = self._chance.pick(PROPERTY_SUBJECTS)
            is_person = kind == "person"
            subject = self._phrases.subject(is_definite=True) if is_person else self._phrases.definite(kind)
        kind = subject.noun.kind if isinstance(subject, Phrase) else "person"
        clause = agreeing(Clause(subject, None, is_negated=is_negated))
        clause.adjective = self._chance.pick(self._words.adjectives[kind])
        if isinstance(subject, Phrase):
            subject.adjective = None  # two properties of one thing could contradict each other
        clause.tense = tense or ("past" if self._chance.of(35) else "present")
        can_compare = clause.adjective.english_comparative and isinstance(subject, Phrase | Name)
        if can_compare and self._chance.of(35):
            clause.than = self._phrases.definite(kind, is_singular=True)
            clause.than.adjective = None
        elif kind == "person" and self._chance.of(25):
            clause.time = self.time(clause)
        elif not is_negated and self._chance.of(15):
            clause.frequency = self._chance.pick(self._words.frequencies)
        return clause

    def _hang(self, phrase: Phrase) -> None:
        if phrase.owner is not None or phrase.determiner in ("this", "my", "your", "his", "her", "our"):
            return
        kind = phrase.noun.kind
        verbs = self._words.transitive_by_object[kind]
        if kind == "person" and self._chance.of(60):
            frame: Frame = self._chance.pick(
                ("transitive", "dative", "prepositional", "moving", "intransitive")
            )
            relative = self.clause(frame, subject=phrase, can_be_negated=False)
            relative.subject, relative.gap = None, "subject"
        elif verbs:
            someone = self._phrases.subject(is_definite=True)
            relative = agreeing(Clause(someone, self._chance.pick(verbs), object=phrase, gap="object"))
            self.set_tense(relative)
        else:
            return
        relative.time = relative.frequency = None
        phrase.relative = relative


def agreeing(clause: Clause) -> Clause:
    """The clause, with person and number of its subject."""
    if clause.subject is not None:
        clause.person, clause.is_plural = clause.subject.person, clause.subject.is_plural
    return clause


def disambiguate(clause: Clause) -> None:
    """Where `I read` could be present or past, says `I can read`."""
    is_third = clause.person == 3 and not clause.is_plural
    has_one_form = clause.verb is not None and clause.verb.past == clause.verb.english
    if has_one_form and not (is_third or clause.modal or clause.is_negated):
        clause.modal, clause.tense, clause.time = "can", "present", None


def pronoun_for(subject: NounPhrase | None) -> Pronoun | None:
    """The pronoun for a subject, where both languages give it the same gender."""
    if subject is None or isinstance(subject, Pronoun):
        return subject
    if isinstance(subject, Name):
        return Pronoun(3, False, subject.gender)
    if isinstance(subject, Phrase) and subject.noun.kind != "person":
        return None
    if subject.is_plural:
        return Pronoun(3, True)
    if isinstance(subject, Phrase) and subject.noun.gender != "n":  # das Mädchen is a she
        return Pronoun(3, False, subject.noun.gender)
    return None
