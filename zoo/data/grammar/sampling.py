"""Draws sentences: which constructions there are, and how often."""

from __future__ import annotations

from zoo.data.grammar.chance import Chance
from zoo.data.grammar.clauses import Clauses, Frame, agreeing, disambiguate, pronoun_for
from zoo.data.grammar.phrases import Phrases
from zoo.data.grammar.tree import Clause, Phrase, Pronoun, Sentence, Shape, Tense
from zoo.data.grammar.vocabulary import vocabulary

# In percent.
SHAPES: dict[Shape, int] = {
    "statement": 30, "time first": 9, "place first": 4, "yes or no": 6, "asked": 5, "who": 2, "which": 3,
    "joined": 6, "subordinate last": 13, "subordinate first": 7, "that": 6, "whether": 2, "infinitive": 4,
    "purpose": 3,
}  # fmt: skip


class Sampler:
    """A stream of sentence trees, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = Chance(seed)
        self._words = vocabulary()
        self._phrases = Phrases(self._chance, self._words)
        self._clauses = Clauses(self._chance, self._words, self._phrases)

    def sentence(self) -> Sentence:
        """Draws one sentence."""
        shape = self._chance.weighted(SHAPES)
        match shape:
            case "that" | "whether" | "infinitive":
                return self._reported(shape)
            case "subordinate last" | "subordinate first":
                return self._subordinated(shape)
            case "who" | "which" | "asked":
                return self._question(shape)
            case "yes or no":
                return Sentence(shape, self._clauses.clause(can_be_negated=False))
            case "purpose":
                main = self._clauses.clause("moving", subject=self._phrases.subject(is_definite=False))
                return Sentence(shape, main, self._clauses.infinitive(main))
            case "joined":
                main, second = self._clauses.clause(), self._clauses.clause()
                return Sentence(shape, main, second, self._chance.pick(self._words.conjunctions))
            case _:
                return self._statement(shape)

    def _statement(self, shape: Shape) -> Sentence:
        main = self._clauses.clause()
        if shape == "statement":
            self._clauses.hang_relative(main)
        is_thing = main.verb is None and isinstance(main.subject, Phrase)
        if shape == "time first" and main.frequency is None and not is_thing:
            main.time = main.time or self._clauses.time(main)
            return Sentence(shape, main)
        if (
            shape == "place first"
            and main.verb is not None
            and main.whereabouts is None
            and not main.is_negated
        ):
            main.whereabouts = self._phrases.there()
            return Sentence(shape, main)
        return Sentence("statement", main)

    def _reported(self, shape: Shape) -> Sentence:
        """`He says that ...`, `she asks whether ...`, `they try to ...`."""
        verbs = self._words.verbs[{"that": "saying", "whether": "asking"}.get(shape, "trying")]
        is_negated = self._chance.of(10)
        subject = self._phrases.subject(is_definite=is_negated)
        main = agreeing(Clause(subject, self._chance.pick(verbs), is_negated=is_negated))
        main.tense = "past" if self._chance.of(30) else "present"
        if shape == "infinitive":
            return Sentence(shape, main, self._clauses.infinitive(main))
        second = self._clauses.clause()
        if main.tense == "past" and not second.modal:
            second.tense, second.time = "past", None
            disambiguate(second)
        return Sentence(shape, main, second, ("that", "dass") if shape == "that" else ("whether", "ob"))

    def _subordinated(self, shape: Shape) -> Sentence:
        link, main_tense, second_tense = self._chance.pick(self._words.subordinators)
        is_reason = link[0] in ("because", "although")
        draw = self._clauses.clause if is_reason else self._clauses.action
        main = draw(tense=as_tense(main_tense))
        second = self._echo(main, as_tense(second_tense), is_reason) or draw(tense=as_tense(second_tense))
        if not is_reason:  # the conjunction says when
            second.time = second.frequency = None
            second.modal = "" if second.modal == "will" else second.modal
            second.is_negated = second.is_negated and link[0] == "if"
            disambiguate(second)
        if any(isinstance(part, Pronoun) and part.is_thing for part in (second.subject, second.object)):
            shape = "subordinate last"  # first the thing, then `it`
        return Sentence(shape, main, second, link)

    def _echo(self, main: Clause, tense: Tense, is_reason: bool) -> Clause | None:
        """A clause about someone or something of the main clause, by a pronoun in the noun's gender."""
        thing, subject = main.object, pronoun_for(main.subject)
        if (
            isinstance(thing, Phrase)
            and thing.noun.kind not in ("person", "animal", "place")
            and not main.is_negated
        ):
            it = Pronoun(3, thing.is_plural, thing.noun.gender, is_thing=True)
            if is_reason and self._chance.of(20):
                clause = agreeing(Clause(it, None, tense=tense))
                clause.adjective = self._chance.pick(self._words.adjectives[thing.noun.kind])
                return clause
            if self._chance.of(35):
                verbs = self._words.transitive_by_object[thing.noun.kind]
                verb = self._chance.pick([verb for verb in verbs if verb is not main.verb])
                clause = agreeing(Clause(subject or self._phrases.subject(is_definite=True), verb, object=it))
                self._clauses.set_tense(clause, tense)
                return clause
        if subject is None or self._chance.of(50):
            return None
        draw = self._clauses.clause if is_reason else self._clauses.action
        return draw(subject=subject, tense=tense)

    def _question(self, shape: Shape) -> Sentence:
        if shape == "who":
            frame: Frame = self._chance.pick(("transitive", "dative", "giving"))
            main = self._clauses.clause(frame, subject=Pronoun(3, False, "m"), can_be_negated=False)
            main.subject = None
            return Sentence(shape, main)
        if shape == "which":
            main = self._clauses.clause("transitive", can_be_negated=False)
            if isinstance(main.object, Phrase):
                main.object = Phrase(main.object.noun, main.object.is_plural, "which", main.object.adjective)
                return Sentence(shape, main)
            return Sentence("yes or no", main)
        main = self._clauses.clause(can_be_negated=False)
        link = self._chance.pick(self._words.question_words)
        if link[0] in ("when", "how often"):
            main.time = main.frequency = None
        if link[0] == "where":
            if main.verb is None or (main.whereabouts is not None and main.whereabouts.case == "acc"):
                return Sentence("yes or no", main)  # it says where already
            main.whereabouts = None
        return Sentence(shape, main, None, link)


def as_tense(word: str) -> Tense:
    """A tense as the lexicon writes it."""
    return "past" if word == "past" else "present"
