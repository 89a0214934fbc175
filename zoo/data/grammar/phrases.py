"""Draws noun phrases: who and what a sentence speaks of."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.data.grammar.chance import Chance
from zoo.data.grammar.lexicon import UNOWNED
from zoo.data.grammar.tree import Both, Determiner, Name, NounPhrase, Phrase, Pronoun, Whereabouts
from zoo.data.grammar.vocabulary import Adjective, Noun, Vocabulary

Weights = Mapping[Determiner, int]  # in percent

SINGULAR: Weights = {
    "the": 43,
    "a": 25,
    "this": 8,
    "every": 4,
    "my": 6,
    "your": 3,
    "his": 4,
    "her": 4,
    "our": 3,
}
PLURAL: Weights = {
    "the": 39, "bare": 26, "this": 8, "some": 5, "many": 4, "all": 4, "my": 4, "your": 2, "his": 3, "her": 3,
    "our": 2,
}  # fmt: skip
# In a negated clause there is no `every` or `all`, whose scope would be open, and no number.
NEGATED: Weights = {"the": 50, "a": 22, "this": 8, "my": 6, "your": 3, "his": 4, "her": 4, "our": 3}
NEGATED_PLURAL: Weights = {
    "the": 50, "bare": 25, "this": 9, "my": 5, "your": 2, "his": 3, "her": 3, "our": 3,
}  # fmt: skip
DEFINITE: Weights = {"the": 60, "this": 14, "my": 8, "your": 4, "his": 5, "her": 5, "our": 4}
OF_PLACES: Weights = {"the": 72, "a": 14, "this": 6, "my": 2, "your": 1, "his": 2, "her": 2, "our": 1}
OF_DRINKS: Weights = {
    "the": 40,
    "a": 20,
    "bare": 26,
    "this": 6,
    "my": 3,
    "your": 2,
    "his": 1,
    "her": 1,
    "our": 1,
}
POSSESSIVES = frozenset({"my", "your", "his", "her", "our"})

PRONOUNS = ((1, False, ""), (2, False, ""), (3, False, "m"), (3, False, "f"), (1, True, ""), (3, True, ""))
# As objects without `her` and `them`: German has `sie` for both.
OBJECT_PRONOUNS = ((1, False, ""), (2, False, ""), (3, False, "m"), (1, True, ""))


class Phrases:
    """Draws noun phrases."""

    def __init__(self, chance: Chance, words: Vocabulary) -> None:
        self._chance = chance
        self._words = words

    def phrase(self, kind: str, *, is_negated: bool = False) -> Phrase:
        """Any phrase about a noun of that class; is_negated: fit for what a negation reaches."""
        noun = self._noun(kind)
        adjective = self._adjective(kind)
        if kind == "drink":
            return self._determined(noun, False, OF_DRINKS, adjective)
        is_plural = self._chance.of(27)
        if is_negated:
            return self._determined(noun, is_plural, NEGATED_PLURAL if is_plural else NEGATED, adjective)
        if not is_plural and noun.english not in UNOWNED and self._chance.of(8):
            return Phrase(noun, False, "the", adjective, owner=self._owner())
        if is_plural and self._chance.of(15):
            article: Determiner = "the" if self._chance.of(30) else "bare"
            return Phrase(noun, True, article, adjective, number=self._chance.pick(self._words.numbers))
        return self._determined(noun, is_plural, PLURAL if is_plural else SINGULAR, adjective)

    def definite(self, kind: str, *, is_singular: bool = False) -> Phrase:
        """A phrase about something known: `the`, `this`, `my`."""
        noun = self._noun(kind)
        is_plural = not is_singular and kind != "drink" and self._chance.of(27)
        return self._determined(noun, is_plural, DEFINITE, self._adjective(kind))

    def subject(self, *, is_definite: bool) -> NounPhrase:
        """A person, or two, who does something."""
        if self._chance.of(28):
            return Pronoun(*self._chance.pick(PRONOUNS))
        if self._chance.of(14):
            return self.name()
        if self._chance.of(5):
            return Both(self.name(), self.definite("person", is_singular=True))
        return self.definite("person") if is_definite else self.phrase("person")

    def other(
        self, subject: NounPhrase | None, *, is_definite: bool = False, is_negated: bool = False
    ) -> NounPhrase:
        """A person who is not the subject."""
        if self._chance.of(14):
            pronoun = Pronoun(*self._chance.pick(OBJECT_PRONOUNS))
            if pronoun.person != (subject.person if isinstance(subject, Pronoun) else 3):
                return pronoun
        if self._chance.of(12):
            return self.name()
        return self.definite("person") if is_definite else self.phrase("person", is_negated=is_negated)

    def name(self) -> Name:
        """A first name."""
        return Name(*self._chance.pick(self._words.names))

    def there(self) -> Whereabouts:
        """A place where something happens."""
        place = self._chance.pick(self._words.places)
        return Whereabouts(
            *place.at, "dat", self._determined(place, False, OF_PLACES, self._adjective("place"))
        )

    def thither(self) -> Whereabouts:
        """A place where someone goes."""
        place = self._chance.pick(self._words.places)
        phrase = self._determined(place, False, OF_PLACES, self._adjective("place"))
        return Whereabouts(*place.to, place.to_case, phrase)

    def beside(self, case: str) -> Whereabouts:
        """On, under or beside a thing: where something stands (dat), or is placed (acc)."""
        english, german = self._chance.pick(self._words.sides)
        kind = "furniture" if english == "on" else self._chance.pick(("furniture", "opening"))
        return Whereabouts(english, german, case, self.definite(kind, is_singular=True))

    def _noun(self, kind: str) -> Noun:
        compounds = self._words.compounds.get(kind)
        return self._chance.pick(compounds if compounds and self._chance.of(35) else self._words.nouns[kind])

    def _adjective(self, kind: str) -> Adjective | None:
        return self._chance.pick(self._words.adjectives[kind]) if self._chance.of(30) else None

    def _owner(self) -> Name | Phrase:
        return self.name() if self._chance.of(40) else self.definite("person", is_singular=True)

    def _determined(
        self, noun: Noun, is_plural: bool, weights: Weights, adjective: Adjective | None
    ) -> Phrase:
        determiner = self._chance.weighted(weights)
        if determiner in POSSESSIVES and noun.english in UNOWNED:
            determiner = "the"
        return Phrase(noun, is_plural, determiner, adjective)
