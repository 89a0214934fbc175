"""Sentence trees in English words: do-support, third person -s, particles, possessive 's, a and an."""

from __future__ import annotations

from zoo.data.grammar.tree import Both, Clause, Name, NounPhrase, Phrase, Pronoun, Sentence
from zoo.data.grammar.vocabulary import Verb

SUBJECT = {(1, False): "I", (2, False): "you", (1, True): "we", (3, True): "they"}
OBJECT = {(1, False): "me", (2, False): "you", (1, True): "us", (3, True): "them"}
BE = {(1, False): ("am", "was"), (3, False): ("is", "was")}
AUXILIARIES = frozenset(
    {"will", "can", "should", "may"}
)  # the other modals behave like verbs: do they want to ...?


def sentence(tree: Sentence) -> str:
    """The whole sentence, with capital and punctuation."""
    main, second, link = tree.main, tree.second, tree.link[0]
    end = "."
    if tree.shape == "time first":
        assert main.time
        words = [main.time[0], *clause(main, without_time=True)]
    elif tree.shape == "place first":
        words = [*_whereabouts(main), *clause(main, without_place=True)]
    elif tree.shape in ("yes or no", "asked"):
        words, end = [link, *question(main)], "?"
    elif tree.shape == "who":
        words, end = ["who", *clause(main)], "?"
    elif tree.shape == "which":
        words, end = [*noun_phrase(main.object), *question(main, without_object=True)], "?"
    elif second is None:
        words = clause(main)
    elif tree.shape == "subordinate first":
        words = [link, *clause(second), ",", *clause(main)]
    elif tree.shape == "infinitive":
        words = [*clause(main), "to", *_infinitive(second)]
    elif tree.shape == "purpose":
        words = [*clause(main), "in order to", *_infinitive(second)]
    elif tree.shape == "joined" and link == "but":
        words = [*clause(main), ",", link, *clause(second)]
    else:
        words = [*clause(main), link, *clause(second)]
    text = " ".join(word for word in words if word).replace(" ,", ",")
    return text[0].upper() + text[1:] + end


def clause(tree: Clause, *, without_time: bool = False, without_place: bool = False) -> list[str]:
    """A clause in its usual order: subject, verb, objects, place, companion, time."""
    subject = noun_phrase(tree.subject) if tree.subject is not None else []
    finite, rest = _verb_words(tree)
    often = [tree.frequency[0]] if tree.frequency else []
    after = finite in AUXILIARIES or (tree.verb is None and not tree.modal)
    verb = [finite, *often, *rest] if after else [*often, finite, *rest]
    return [*subject, *verb, *_objects(tree), *_adverbials(tree, without_time, without_place)]


def question(tree: Clause, *, without_object: bool = False) -> list[str]:
    """The finite verb before the subject, `do` where there is no other auxiliary."""
    finite, rest = _verb_words(tree, in_question=True)
    often = [tree.frequency[0]] if tree.frequency else []
    subject = noun_phrase(tree.subject)
    return [finite, *subject, *often, *rest, *_objects(tree, without_object), *_adverbials(tree)]


def noun_phrase(tree: NounPhrase | None, *, as_object: bool = False) -> list[str]:
    """The words of a noun phrase."""
    if isinstance(tree, Phrase):
        return _phrase(tree)
    if isinstance(tree, Name):
        return [tree.text]
    if isinstance(tree, Both):
        return [*noun_phrase(tree.left), "and", *noun_phrase(tree.right)]
    assert tree is not None
    if tree.person == 3 and not tree.is_plural:
        if tree.is_thing:
            return ["it"]
        return [("him" if as_object else "he") if tree.gender == "m" else ("her" if as_object else "she")]
    return [(OBJECT if as_object else SUBJECT)[tree.person, tree.is_plural]]


def _phrase(tree: Phrase) -> list[str]:
    noun = tree.noun.english_plural if tree.is_plural else tree.noun.english
    if tree.adjective is not None:
        noun = f"{tree.adjective.english} {noun}"
    if tree.owner is not None:
        words = noun_phrase(tree.owner)
        words[-1] += "'s"
    elif tree.number is not None:
        words = [*(["the"] if tree.determiner == "the" else []), tree.number[0]]
    elif tree.determiner == "a":
        words = ["an" if noun[0] in "aeiou" else "a"]
    elif tree.determiner == "this":
        words = ["these" if tree.is_plural else "this"]
    elif tree.determiner == "bare":
        words = []
    else:
        words = [tree.determiner]
    words.append(noun)
    if tree.relative is not None:
        is_person = tree.noun.kind == "person" and tree.relative.gap == "subject"
        words += ["who" if is_person else "that", *clause(tree.relative)]
    return words


def _verb_words(tree: Clause, *, in_question: bool = False) -> tuple[str, list[str]]:
    """The finite verb and the words that follow it (after the subject, in a question)."""
    number = 2 if tree.is_plural else tree.person  # with `are`, and without -s, like `you`
    not_ = ["not"] if tree.is_negated else []
    third = number == 3
    if tree.modal == "can" and tree.is_negated:
        return "cannot", _base(tree.verb)
    if tree.modal in AUXILIARIES:
        return tree.modal, [*not_, *_base(tree.verb)]
    if tree.modal:
        full = {"want": ("wants", "wanted"), "have": ("has", "had")}[tree.modal]
        base = str(tree.modal)
        rest = ["to", *_base(tree.verb)]
    elif tree.verb is None:
        am, was = BE.get((number, False), ("are", "were"))
        return (was if tree.tense == "past" else am), not_
    else:
        full = (_third_person(tree.verb.english), tree.verb.past)
        base, *rest = _base(tree.verb)
    if tree.is_negated or in_question:
        do = "did" if tree.tense == "past" else "does" if third else "do"
        return do, [*not_, base, *rest]
    return (full[1] if tree.tense == "past" else full[0] if third else base), rest


def _base(verb: Verb | None) -> list[str]:
    return ["be"] if verb is None else [verb.english, *([verb.preposition] if verb.preposition else [])]


def _infinitive(tree: Clause | None) -> list[str]:
    assert tree is not None
    return [*_base(tree.verb), *_objects(tree), *_adverbials(tree)]


def _third_person(base: str) -> str:
    if base.endswith(("s", "sh", "ch", "x", "z", "o")):
        return base + "es"
    if base.endswith("y") and base[-2] not in "aeou":
        return base[:-1] + "ies"
    return base + "s"


def _objects(tree: Clause, without_object: bool = False) -> list[str]:
    words = noun_phrase(tree.indirect, as_object=True) if tree.indirect is not None else []
    particle = [tree.verb.particle] if tree.verb is not None and tree.verb.particle else []
    if tree.object is None or without_object or tree.gap == "object":
        words += particle
    elif isinstance(tree.object, Pronoun):
        words += [*noun_phrase(tree.object, as_object=True), *particle]
    else:
        words += [*particle, *noun_phrase(tree.object)]
    if tree.complement is not None and tree.verb is not None:
        words += [tree.verb.complement[0], *noun_phrase(tree.complement, as_object=True)]
    if tree.adjective is not None:
        words.append(tree.adjective.english_comparative if tree.than else tree.adjective.english)
    if tree.than is not None:
        words += ["than", *noun_phrase(tree.than)]
    return words


def _adverbials(tree: Clause, without_time: bool = False, without_place: bool = False) -> list[str]:
    words = [] if without_place else _whereabouts(tree)
    if tree.companion is not None:
        words += ["with", *noun_phrase(tree.companion, as_object=True)]
    if tree.time is not None and not without_time:
        words.append(tree.time[0])
    return words


def _whereabouts(tree: Clause) -> list[str]:
    where = tree.whereabouts
    return [] if where is None else [where.english, *noun_phrase(where.phrase)]
