"""Sentence trees in German words: gender, case, adjective endings, verb second, verb last, separable verbs.

The order between the finite verb and the verb's end: reflexive and other pronouns, time, dative, adverbials
before an indefinite object, accusative, `nicht`, adverbials after a definite one, the verb's own preposition,
property.
"""

from __future__ import annotations

from functools import cache

from zoo.data.grammar.tree import Both, Clause, Name, NounPhrase, Phrase, Pronoun, Sentence
from zoo.data.grammar.vocabulary import Noun, Verb

# By case: masculine, neuter, feminine, plural.
GENDERS = {"m": 0, "n": 1, "f": 2, "plural": 3}
THE = {"nom": "der das die die", "acc": "den das die die", "dat": "dem dem der den", "gen": "des des der der"}
# The endings of dieser, jeder, welcher, and of an adjective that no article precedes.
STRONG = {"nom": "er es e e", "acc": "en es e e", "dat": "em em er en", "gen": "es es er er"}
EIN = {"nom": "- - e e", "acc": "en - e e", "dat": "em em er en", "gen": "es es er er"}
# Adjective endings after der-words, after ein-words, and after nothing.
ADJECTIVE = {
    "weak": {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en", "gen": "en en en en"},
    "mixed": {"nom": "er es e en", "acc": "en es e en", "dat": "en en en en", "gen": "en en en en"},
    "strong": {"nom": "er es e e", "acc": "en es e e", "dat": "em em er en", "gen": "en en er er"},
}
DETERMINERS = {
    "this": ("dies", STRONG, "weak"), "every": ("jed", STRONG, "weak"), "which": ("welch", STRONG, "weak"),
    "all": ("all", STRONG, "weak"), "some": ("einig", STRONG, "strong"), "many": ("viel", STRONG, "strong"),
    "a": ("ein", EIN, "mixed"), "no": ("kein", EIN, "mixed"), "my": ("mein", EIN, "mixed"),
    "your": ("dein", EIN, "mixed"), "his": ("sein", EIN, "mixed"), "her": ("ihr", EIN, "mixed"),
    "our": ("unser", EIN, "mixed"),
}  # fmt: skip
RELATIVE = {"nom": "der das die die", "acc": "den das die die"}
PRONOUNS = {
    (1, False): "ich mich mir", (2, False): "du dich dir", (1, True): "wir uns uns",
    (3, True): "sie sie ihnen",
    "m": "er ihn ihm", "f": "sie sie ihr", "n": "es es ihm",
}  # fmt: skip
CASES = {"nom": 0, "acc": 1, "dat": 2}
REFLEXIVE = {(1, False): "mich", (2, False): "dich", (1, True): "uns"}
CONTRACTIONS = {
    "in dem": "im", "an dem": "am", "zu dem": "zum", "zu der": "zur", "von dem": "vom", "in das": "ins",
}  # fmt: skip
# ich, du, er, wir, sie
FORMS = {
    "be": "bin bist ist sind sind", "was": "war warst war waren waren", "have": "habe hast hat haben haben",
    "will": "werde wirst wird werden werden", "can": "kann kannst kann können können",
    "should": "sollte solltest sollte sollten sollten", "may": "darf darfst darf dürfen dürfen",
    "want": "will willst will wollen wollen", "wanted": "wollte wolltest wollte wollten wollten",
    "must": "muss musst muss müssen müssen", "had": "musste musstest musste mussten mussten",
}  # fmt: skip


def sentence(tree: Sentence) -> str:
    """The whole sentence, with capital and punctuation."""
    main, second, link = tree.main, tree.second, tree.link[1]
    end = "."
    if tree.shape == "time first":
        assert main.time
        words = [main.time[1], *verb_first(main, without_time=True)]
    elif tree.shape == "place first":
        words = [*_whereabouts(main), *verb_first(main, without_place=True)]
    elif tree.shape in ("yes or no", "asked"):
        words, end = [link, *verb_first(main)], "?"
    elif tree.shape == "who":
        words, end = ["wer", *verb_second(main)], "?"
    elif tree.shape == "which":
        words, end = [*noun_phrase(main.object, "acc"), *verb_first(main, without_object=True)], "?"
    elif second is None:
        words = verb_second(main)
    elif tree.shape == "subordinate first":
        words = [link, *verb_last(second), ",", *verb_first(main)]
    elif tree.shape == "infinitive":
        words = [*verb_second(main), ",", *_infinitive(second)]
    elif tree.shape == "purpose":
        words = [*verb_second(main), ", um", *_infinitive(second)]
    elif tree.shape == "joined":
        words = [*verb_second(main), "," if link == "aber" else "", link, *verb_second(second)]
    else:
        words = [*verb_second(main), ",", link, *verb_last(second)]
    text = " ".join(word for word in words if word)
    text = text.replace(" ,", ",").replace(",,", ",").removesuffix(",")
    return text[0].upper() + text[1:] + end


def verb_second(tree: Clause | None) -> list[str]:
    """A main clause that begins with its subject."""
    assert tree is not None
    finite, rest = _verb_words(tree)
    subject = noun_phrase(tree.subject, "nom") if tree.subject is not None else []
    return [*subject, finite, *_reflexive(tree), *_middle(tree), *rest]


def verb_first(
    tree: Clause, *, without_time: bool = False, without_place: bool = False, without_object: bool = False
) -> list[str]:
    """The finite verb, then the subject: a question, or a main clause after its first element."""
    finite, rest = _verb_words(tree)
    subject, reflexive = noun_phrase(tree.subject, "nom"), _reflexive(tree)
    first = [*subject, *reflexive] if isinstance(tree.subject, Pronoun) else [*reflexive, *subject]
    return [finite, *first, *_middle(tree, without_time, without_place, without_object), *rest]


def verb_last(tree: Clause) -> list[str]:
    """A subordinate clause: the finite verb at its end, a separable prefix joined to it."""
    finite, rest = _verb_words(tree)
    if rest and tree.verb is not None and rest == [tree.verb.prefix]:
        end = [tree.verb.prefix + finite]
    else:
        end = [*rest, finite]
    subject = noun_phrase(tree.subject, "nom") if tree.subject is not None else []
    return [*subject, *_reflexive(tree), *_middle(tree), *end]


def noun_phrase(tree: NounPhrase | None, case: str) -> list[str]:
    """The words of a noun phrase in a case."""
    if isinstance(tree, Phrase):
        return _phrase(tree, case)
    if isinstance(tree, Name):
        return [tree.text]
    if isinstance(tree, Both):
        return [*noun_phrase(tree.left, case), "und", *noun_phrase(tree.right, case)]
    assert tree is not None
    key = tree.gender if tree.person == 3 and not tree.is_plural else (tree.person, tree.is_plural)
    return [PRONOUNS[key].split()[CASES[case]]]


def _phrase(tree: Phrase, case: str, negated: bool = False) -> list[str]:
    column = GENDERS["plural" if tree.is_plural else tree.noun.gender]
    article, endings = "", "strong"
    if isinstance(tree.owner, Name):
        article = tree.owner.text + "s"
    elif negated:
        article, endings = _determiner("no", case, column)
    elif tree.owner is not None or tree.determiner == "the":
        article, endings = _cell(THE, case, column), "weak"
    elif tree.determiner != "bare":
        article, endings = _determiner(tree.determiner, case, column)
    words = [article] if article else []
    if tree.number is not None:
        words.append(tree.number[1])
    if tree.adjective is not None:
        words.append(tree.adjective.stem + _cell(ADJECTIVE[endings], case, column))
    words.append(_noun(tree.noun, tree.is_plural, case))
    if isinstance(tree.owner, Phrase):
        words += _phrase(tree.owner, "gen")
    if tree.relative is not None:
        gap = "nom" if tree.relative.gap == "subject" else "acc"
        words += [",", _cell(RELATIVE, gap, column), *verb_last(tree.relative), ","]
    return words


@cache
def _determiner(name: str, case: str, column: int) -> tuple[str, str]:
    stem, table, endings = DETERMINERS[name]
    return stem + _cell(table, case, column), endings


def _cell(table: dict[str, str], case: str, column: int) -> str:
    return table[case].split()[column].replace("-", "")


@cache
def _noun(noun: Noun, is_plural: bool, case: str) -> str:
    if is_plural:
        plural = noun.german_plural
        return plural + "n" if case == "dat" and not plural.endswith(("n", "s")) else plural
    if case == "gen" and noun.gender != "f":
        return noun.genitive
    return noun.genitive if noun.is_weak and case in ("acc", "dat") else noun.german


def _person(tree: Clause) -> int:
    """Which of a verb's five forms goes with the subject."""
    return (3 if tree.person == 1 else 4) if tree.is_plural else tree.person - 1


def _form(name: str, tree: Clause) -> str:
    return FORMS[name].split()[_person(tree)]


def _verb_words(tree: Clause) -> tuple[str, list[str]]:
    """The finite verb, and what of the verb stands at the clause's end."""
    verb = tree.verb
    infinitive = "sein" if verb is None else verb.prefix + verb.infinitive
    if tree.modal:
        past = tree.tense == "past"
        name = {"want": "wanted" if past else "want", "have": "had" if past else "must"}.get(
            tree.modal, tree.modal
        )
        return _form(name, tree), [infinitive]
    if verb is None:
        return _form("was" if tree.tense == "past" else "be", tree), []
    if tree.tense == "past":
        return _form("be" if verb.has_sein else "have", tree), [verb.participle]
    return _present(verb, _person(tree)), [verb.prefix] if verb.prefix else []


@cache
def _present(verb: Verb, person: int) -> str:
    if person == 0:
        stem = verb.infinitive.removesuffix("n").removesuffix("e")
        return "weiß" if verb.infinitive == "wissen" else stem + "e"
    return (verb.du, verb.er, verb.infinitive, verb.infinitive)[person - 1]


def _reflexive(tree: Clause) -> list[str]:
    if tree.verb is None or not tree.verb.is_reflexive:
        return []
    return [REFLEXIVE.get((tree.person, tree.is_plural), "sich")]


def _middle(
    tree: Clause, without_time: bool = False, without_place: bool = False, without_object: bool = False
) -> list[str]:
    """Everything between the finite verb (or the subject) and the verb's end."""
    words: list[str] = []
    thing = None if without_object or tree.gap == "object" else tree.object
    if isinstance(thing, Pronoun):
        words += noun_phrase(thing, "acc")
    if isinstance(tree.indirect, Pronoun):
        words += noun_phrase(tree.indirect, "dat")
    if tree.time is not None and not without_time:
        words.append(tree.time[1])
    if tree.frequency is not None:
        words.append(tree.frequency[1])
    takes_kein = tree.is_negated and tree.verb is not None and _is_indefinite(thing or tree.indirect)
    if tree.indirect is not None and not isinstance(tree.indirect, Pronoun):
        words += _negated(tree.indirect, "dat", takes_kein and thing is None)
    adverbials = _companion(tree) + ([] if without_place else _whereabouts(tree))
    is_moving = tree.whereabouts is not None and tree.whereabouts.case == "acc"
    before = _is_indefinite(thing) and not is_moving
    if before:
        words += adverbials
    if thing is not None and not isinstance(thing, Pronoun):
        words += _negated(thing, "acc", takes_kein)
    if tree.is_negated and not takes_kein:
        words.append("nicht")
    if not before:
        words += adverbials
    if tree.complement is not None and tree.verb is not None:
        _, preposition, case = tree.verb.complement
        words += _with_preposition(preposition, tree.complement, case)
    if tree.adjective is not None:
        words.append(tree.adjective.german_comparative if tree.than else tree.adjective.german)
    if tree.than is not None:
        words += ["als", *noun_phrase(tree.than, "nom")]
    return words


def _is_indefinite(tree: NounPhrase | None) -> bool:
    return isinstance(tree, Phrase) and not tree.is_definite


def _negated(tree: NounPhrase, case: str, takes_kein: bool) -> list[str]:
    if takes_kein:
        assert isinstance(tree, Phrase)
        return _phrase(tree, case, negated=True)
    return noun_phrase(tree, case)


def _companion(tree: Clause) -> list[str]:
    return [] if tree.companion is None else _with_preposition("mit", tree.companion, "dat")


def _whereabouts(tree: Clause) -> list[str]:
    where = tree.whereabouts
    return [] if where is None else _with_preposition(where.german, where.phrase, where.case)


def _with_preposition(preposition: str, tree: NounPhrase, case: str) -> list[str]:
    words = noun_phrase(tree, case)
    if isinstance(tree, Phrase) and tree.determiner == "the":
        joined = CONTRACTIONS.get(f"{preposition} {words[0]}")
        if joined is not None:
            return [joined, *words[1:]]
    return [preposition, *words]


def _infinitive(tree: Clause | None) -> list[str]:
    """`das Buch zu lesen`, `die Tür aufzumachen`."""
    assert tree is not None
    assert tree.verb is not None
    verb = tree.verb
    end = f"{verb.prefix}zu{verb.infinitive}" if verb.prefix else f"zu {verb.infinitive}"
    return [*_middle(tree), end]
