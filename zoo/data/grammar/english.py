"""Sentence trees in English words: do-support, third person -s, particles, possessive 's, a and an.

The words come in constituents, labelled as in the Penn Treebank as far as the grammar tells them apart.
"""

from __future__ import annotations

from zoo.data.grammar.constituents import Constituent, Item, words_of
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
    words = words_of(constituents(tree))
    text = " ".join(words[:-1]).replace(" ,", ",")
    return text[0].upper() + text[1:] + words[-1]


def constituents(tree: Sentence) -> Constituent:
    """The whole sentence, its last word the full stop or question mark."""
    main, second, link = tree.main, tree.second, tree.link[0]
    if tree.shape == "time first":
        assert main.time
        return Constituent("S", [Constituent("ADVP", [main.time[0]]), *clause(main, without_time=True), "."])
    if tree.shape == "place first":
        return Constituent("S", [*_whereabouts(main), *clause(main, without_place=True), "."])
    if tree.shape == "yes or no":
        return Constituent("SQ", [link, *question(main), "?"])
    if tree.shape == "asked":
        return Constituent("SBARQ", [Constituent("WHADVP", [link]), Constituent("SQ", question(main)), "?"])
    if tree.shape == "who":
        return Constituent("SBARQ", [Constituent("WHNP", ["who"]), Constituent("SQ", clause(main)), "?"])
    if tree.shape == "which":
        asked = Constituent("WHNP", words_of(noun_phrase(main.object)))
        return Constituent("SBARQ", [asked, Constituent("SQ", question(main, without_object=True)), "?"])
    if second is None:
        return Constituent("S", [*clause(main), "."])
    if tree.shape == "subordinate first":
        return Constituent("S", [_subordinate(link, clause(second)), ",", *clause(main), "."])
    if tree.shape == "joined":
        joined: list[Item] = [",", link] if link == "but" else [link]
        return Constituent(
            "S", [Constituent("S", clause(main)), *joined, Constituent("S", clause(second)), "."]
        )
    if tree.shape in ("infinitive", "purpose"):
        to: list[Item] = ["to"] if tree.shape == "infinitive" else ["in order to"]
        last = Constituent("S", [Constituent("VP", [*to, Constituent("VP", _infinitive(second))])])
    else:
        last = _subordinate(link, clause(second))
    *before, verb = clause(main)
    assert isinstance(verb, Constituent)
    return Constituent("S", [*before, Constituent("VP", [*verb.parts, last]), "."])


def clause(tree: Clause, *, without_time: bool = False, without_place: bool = False) -> list[Item]:
    """A clause in its usual order: subject, and in a verb phrase verb, objects, place, companion, time."""
    subject: list[Item] = [noun_phrase(tree.subject)] if tree.subject is not None else []
    finite, rest = _verb_words(tree)
    often: list[Item] = [Constituent("ADVP", [tree.frequency[0]])] if tree.frequency else []
    after = finite in AUXILIARIES or (tree.verb is None and not tree.modal)
    verb = [finite, *often, *rest] if after else [*often, finite, *rest]
    return [
        *subject,
        Constituent("VP", [*verb, *_objects(tree), *_adverbials(tree, without_time, without_place)]),
    ]


def question(tree: Clause, *, without_object: bool = False) -> list[Item]:
    """The finite verb before the subject, `do` where there is no other auxiliary."""
    finite, rest = _verb_words(tree, in_question=True)
    often: list[Item] = [Constituent("ADVP", [tree.frequency[0]])] if tree.frequency else []
    phrase = [*often, *rest, *_objects(tree, without_object), *_adverbials(tree)]
    return [finite, noun_phrase(tree.subject), *([Constituent("VP", phrase)] if phrase else [])]


def noun_phrase(tree: NounPhrase | None, *, as_object: bool = False) -> Constituent:
    """A noun phrase."""
    if isinstance(tree, Phrase):
        return _phrase(tree)
    if isinstance(tree, Name):
        return Constituent("NP", [tree.text])
    if isinstance(tree, Both):
        return Constituent("NP", [noun_phrase(tree.left), "and", noun_phrase(tree.right)])
    assert tree is not None
    if tree.person == 3 and not tree.is_plural:
        if tree.is_thing:
            return Constituent("NP", ["it"])
        word = ("him" if as_object else "he") if tree.gender == "m" else ("her" if as_object else "she")
    else:
        word = (OBJECT if as_object else SUBJECT)[tree.person, tree.is_plural]
    return Constituent("NP", [word])


def _phrase(tree: Phrase) -> Constituent:
    noun = tree.noun.english_plural if tree.is_plural else tree.noun.english
    if tree.adjective is not None:
        noun = f"{tree.adjective.english} {noun}"
    words: list[Item]
    if tree.owner is not None:
        words = [_possessive(noun_phrase(tree.owner))]
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
    if tree.relative is None:
        return Constituent("NP", words)
    is_person = tree.noun.kind == "person" and tree.relative.gap == "subject"
    relative = [
        Constituent("WHNP", ["who" if is_person else "that"]),
        Constituent("S", clause(tree.relative)),
    ]
    return Constituent("NP", [Constituent("NP", words), Constituent("SBAR", relative)])


def _possessive(owner: Constituent) -> Constituent:
    *before, last = owner.parts
    end = _possessive(last) if isinstance(last, Constituent) else f"{last}'s"
    return Constituent(owner.label, [*before, end])


def _subordinate(link: str, parts: list[Item]) -> Constituent:
    return Constituent("SBAR", [link, Constituent("S", parts)])


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


def _infinitive(tree: Clause | None) -> list[Item]:
    assert tree is not None
    return [*_base(tree.verb), *_objects(tree), *_adverbials(tree)]


def _third_person(base: str) -> str:
    if base.endswith(("s", "sh", "ch", "x", "z", "o")):
        return base + "es"
    if base.endswith("y") and base[-2] not in "aeou":
        return base[:-1] + "ies"
    return base + "s"


def _objects(tree: Clause, without_object: bool = False) -> list[Item]:
    found: list[Item] = []
    if tree.indirect is not None:
        found.append(noun_phrase(tree.indirect, as_object=True))
    particle: list[Item] = []
    if tree.verb is not None and tree.verb.particle:
        particle = [Constituent("PRT", [tree.verb.particle])]
    if tree.object is None or without_object or tree.gap == "object":
        found += particle
    elif isinstance(tree.object, Pronoun):
        found += [noun_phrase(tree.object, as_object=True), *particle]
    else:
        found += [*particle, noun_phrase(tree.object)]
    if tree.complement is not None and tree.verb is not None:
        governed = noun_phrase(tree.complement, as_object=True)
        preposition = tree.verb.complement[0]
        found.append(Constituent("PP", [preposition, governed]) if preposition else governed)
    described: list[Item] = []
    if tree.adjective is not None:
        described.append(tree.adjective.english_comparative if tree.than else tree.adjective.english)
    if tree.than is not None:
        described.append(Constituent("PP", ["than", noun_phrase(tree.than)]))
    return [*found, Constituent("ADJP", described)] if described else found


def _adverbials(tree: Clause, without_time: bool = False, without_place: bool = False) -> list[Item]:
    found: list[Item] = [] if without_place else _whereabouts(tree)
    if tree.companion is not None:
        found.append(Constituent("PP", ["with", noun_phrase(tree.companion, as_object=True)]))
    if tree.time is not None and not without_time:
        found.append(Constituent("ADVP", [tree.time[0]]))
    return found


def _whereabouts(tree: Clause) -> list[Item]:
    where = tree.whereabouts
    return [] if where is None else [Constituent("PP", [where.english, noun_phrase(where.phrase)])]
