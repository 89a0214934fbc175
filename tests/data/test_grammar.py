"""The embedded corpus: the grammar's German by hand, and the laws of a parallel corpus."""

from __future__ import annotations

from collections import defaultdict

import pytest

from registry import parse
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.grammar import GrammarCorpus, GrammarCorpusSpec
from zoo.data.grammar import english, german
from zoo.data.grammar.sampling import Sampler
from zoo.data.grammar.tree import Both, Clause, Name, NounPhrase, Phrase, Pronoun, Sentence, Whereabouts
from zoo.data.grammar.vocabulary import Adjective, Noun, Place, Verb, vocabulary

WORDS = vocabulary()
ME, YOU, HE, SHE = Pronoun(1, False), Pronoun(2, False), Pronoun(3, False, "m"), Pronoun(3, False, "f")
WE, THEY = Pronoun(1, True), Pronoun(3, True)


def noun(text: str) -> Noun:
    groups = [*WORDS.nouns.values(), *WORDS.compounds.values()]
    return next(noun for group in groups for noun in group if noun.english == text)


def adjective(text: str) -> Adjective:
    return next(a for group in WORDS.adjectives.values() for a in group if a.english == text)


def verb(frame: str, text: str) -> Verb:
    return next(v for v in WORDS.verbs[frame] if " ".join(filter(None, (v.english, v.particle))) == text)


def a(text: str, adj: str = "", determiner: str = "a", plural: bool = False, **more: object) -> Phrase:
    described = adjective(adj) if adj else None
    return Phrase(noun(text), plural, determiner, described, **more)  # type: ignore[arg-type]


def the(text: str, adj: str = "", **more: object) -> Phrase:
    return a(text, adj, "the", **more)  # type: ignore[arg-type]


def clause(subject: NounPhrase | None, what: Verb | None, **more: object) -> Clause:
    person, plural = (subject.person, subject.is_plural) if subject else (3, False)
    return Clause(subject, what, person=person, is_plural=plural, **more)  # type: ignore[arg-type]


def both(tree: Sentence) -> tuple[str, str]:
    return english.sentence(tree), german.sentence(tree)


@pytest.mark.parametrize(
    ("phrase", "forms"),
    [  # nominative, accusative, dative, genitive, as any German grammar has them
        (the("man", "old"), "der alte Mann, den alten Mann, dem alten Mann, des alten Mannes"),
        (the("woman", "old"), "die alte Frau, die alte Frau, der alten Frau, der alten Frau"),
        (the("child", "old"), "das alte Kind, das alte Kind, dem alten Kind, des alten Kindes"),
        (the("man", "old", plural=True),
         "die alten Männer, die alten Männer, den alten Männern, der alten Männer"),
        (a("man", "old"), "ein alter Mann, einen alten Mann, einem alten Mann, eines alten Mannes"),
        (a("woman", "old"), "eine alte Frau, eine alte Frau, einer alten Frau, einer alten Frau"),
        (a("child", "old"), "ein altes Kind, ein altes Kind, einem alten Kind, eines alten Kindes"),
        (a("beer", "good", "bare"), "gutes Bier, gutes Bier, gutem Bier, guten Bieres"),
        (a("tea", "good", "bare"), "guter Tee, guten Tee, gutem Tee, guten Tees"),
        (a("dog", "old", "bare", True), "alte Hunde, alte Hunde, alten Hunden, alter Hunde"),
        (a("dog", "old", "some", True),
         "einige alte Hunde, einige alte Hunde, einigen alten Hunden, einiger alter Hunde"),
        (a("dog", "old", "all", True),
         "alle alten Hunde, alle alten Hunde, allen alten Hunden, aller alten Hunde"),
        (a("dog", "old", "every"), "jeder alte Hund, jeden alten Hund, jedem alten Hund, jedes alten Hundes"),
        (a("cat", "old", "our"),
         "unsere alte Katze, unsere alte Katze, unserer alten Katze, unserer alten Katze"),
        (a("dog", "old", "his", True),
         "seine alten Hunde, seine alten Hunde, seinen alten Hunden, seiner alten Hunde"),
        (a("student", "poor"),
         "ein armer Student, einen armen Studenten, einem armen Studenten, eines armen Studenten"),
        (the("car", plural=True), "die Autos, die Autos, den Autos, der Autos"),
        (the("girl", plural=True), "die Mädchen, die Mädchen, den Mädchen, der Mädchen"),
        (the("lamp", "expensive"), "die teure Lampe, die teure Lampe, der teuren Lampe, der teuren Lampe"),
        (the("dog", "tired", owner=Name("Anna", "f")),
         "Annas müder Hund, Annas müden Hund, Annas müdem Hund, Annas müden Hundes"),
        (the("dog", owner=the("king", "old")),
         "der Hund des alten Königs, den Hund des alten Königs, "
         "dem Hund des alten Königs, des Hundes des alten Königs"),
        (the("egg", number=("three", "drei"), plural=True),
         "die drei Eier, die drei Eier, den drei Eiern, der drei Eier"),
        (the("kitchen cupboard"),
         "der Küchenschrank, den Küchenschrank, dem Küchenschrank, des Küchenschranks"),
    ],
)  # fmt: skip
def test_noun_phrases_are_declined(phrase: Phrase, forms: str) -> None:
    found = [" ".join(german.noun_phrase(phrase, case)) for case in ("nom", "acc", "dat", "gen")]
    assert ", ".join(found) == forms


@pytest.mark.parametrize(
    ("verb_", "forms"),
    [  # ich, du, er, wir, sie
        (verb("transitive", "carry"), "trage trägst trägt tragen tragen"),
        (verb("transitive", "read"), "lese liest liest lesen lesen"),
        (verb("intransitive", "work"), "arbeite arbeitest arbeitet arbeiten arbeiten"),
        (verb("saying", "know"), "weiß weißt weiß wissen wissen"),
    ],
)
def test_verbs_are_conjugated(verb_: Verb, forms: str) -> None:
    found = [german.verb_second(clause(subject, verb_))[1] for subject in (ME, YOU, HE, WE, THEY)]
    assert " ".join(found) == forms


GARDEN = next(place for place in WORDS.places if place.english == "garden")
STATION = next(place for place in WORDS.places if place.english == "station")


def at(place: Place) -> Whereabouts:
    return Whereabouts(*place.at, "dat", Phrase(place, False, "the"))


def to(place: Place) -> Whereabouts:
    return Whereabouts(*place.to, place.to_case, Phrase(place, False, "the"))


buy, call, see = verb("transitive", "buy"), verb("transitive", "call"), verb("transitive", "see")
today, yesterday = ("today", "heute"), ("yesterday", "gestern")
sleep, go, give = verb("intransitive", "sleep"), verb("moving", "go"), verb("giving", "give")
wait, care = verb("prepositional", "wait"), verb("prepositional", "care")
open_, try_, ask = verb("transitive", "open"), verb("trying", "try"), verb("asking", "ask")

BY_HAND = [
    (Sentence("statement", clause(the("man"), buy, object=a("book"), time=today)),
     "The man buys a book today.", "Der Mann kauft heute ein Buch."),
    (Sentence("time first", clause(the("man"), buy, object=a("book"), time=yesterday, tense="past")),
     "Yesterday the man bought a book.", "Gestern hat der Mann ein Buch gekauft."),
    (Sentence("place first", clause(SHE, sleep, whereabouts=at(GARDEN))),
     "In the garden she sleeps.", "Im Garten schläft sie."),
    (Sentence("statement", clause(WE, go, whereabouts=to(GARDEN), tense="past", companion=the("dog"))),
     "We went into the garden with the dog.", "Wir sind mit dem Hund in den Garten gegangen."),
    (Sentence("statement", clause(THEY, go, whereabouts=to(STATION), modal="want", is_negated=True)),
     "They do not want to go to the station.", "Sie wollen nicht zum Bahnhof gehen."),
    (Sentence("statement", clause(ME, buy, object=a("lamp"), is_negated=True, modal="can")),
     "I cannot buy a lamp.", "Ich kann keine Lampe kaufen."),
    (Sentence("statement", clause(YOU, buy, object=the("lamp"), is_negated=True)),
     "You do not buy the lamp.", "Du kaufst die Lampe nicht."),
    (Sentence("statement", clause(the("king"), call, object=HE, frequency=("never", "nie"))),
     "The king never calls him.", "Der König ruft ihn nie an."),
    (Sentence("statement", clause(the("aunt"), give, indirect=a("child"), object=a("apple", "", "bare", True),
                                  modal="will")),
     "The aunt will give a child apples.", "Die Tante wird einem Kind Äpfel geben."),
    (Sentence("statement", clause(Both(Name("Anna", "f"), the("boy")), wait, complement=the("train"))),
     "Anna and the boy wait for the train.", "Anna und der Junge warten auf den Zug."),
    (Sentence("time first", clause(the("mother"), care, complement=the("bear"), time=today)),
     "Today the mother cares for the bear.", "Heute kümmert sich die Mutter um den Bären."),
    (Sentence("time first", clause(ME, care, complement=WE, time=today)),
     "Today I care for us.", "Heute kümmere ich mich um uns."),
    (Sentence("yes or no", clause(the("child", plural=True), sleep, tense="past")),
     "Did the children sleep?", "Haben die Kinder geschlafen?"),
    (Sentence("asked", clause(HE, None, adjective=adjective("tired")), link=("why", "warum")),
     "Why is he tired?", "Warum ist er müde?"),
    (Sentence("who",
              clause(None, open_, object=the("door"))), "Who opens the door?", "Wer macht die Tür auf?"),
    (Sentence("which", clause(HE, buy, object=Phrase(noun("coat"), False, "which"))),
     "Which coat does he buy?", "Welchen Mantel kauft er?"),
    (Sentence("joined", clause(ME, sleep), clause(YOU, open_, object=the("window")), ("but", "aber")),
     "I sleep, but you open the window.", "Ich schlafe, aber du machst das Fenster auf."),
    (Sentence("subordinate last",
              clause(HE, sleep), clause(SHE, open_, object=the("door")), ("because", "weil")),
     "He sleeps because she opens the door.", "Er schläft, weil sie die Tür aufmacht."),
    (Sentence("subordinate first",
              clause(HE, sleep), clause(SHE, call, object=ME, tense="past"), ("if", "wenn")),
     "If she called me, he sleeps.", "Wenn sie mich angerufen hat, schläft er."),
    (Sentence("whether",
              clause(HE, ask), clause(THEY, buy, object=the("car"), modal="have"), ("whether", "ob")),
     "He asks whether they have to buy the car.", "Er fragt, ob sie das Auto kaufen müssen."),
    (Sentence("infinitive", clause(SHE, try_, tense="past"), clause(None, open_, object=the("door"))),
     "She tried to open the door.", "Sie hat versucht, die Tür aufzumachen."),
    (Sentence("purpose", clause(HE, go, whereabouts=to(GARDEN)), clause(None, see, object=a("bird"))),
     "He goes into the garden in order to see a bird.", "Er geht in den Garten, um einen Vogel zu sehen."),
    (Sentence("statement",
              clause(the("woman", relative=clause(None, buy, object=the("house cat"), gap="subject")),
                                  sleep)),
     "The woman who buys the house cat sleeps.", "Die Frau, die die Hauskatze kauft, schläft."),
    (Sentence("statement", clause(ME, see, object=the("man", relative=clause(THEY, call, object=the("man"),
                                                                             gap="object")))),
     "I see the man that they call.", "Ich sehe den Mann, den sie anrufen."),
    (Sentence("statement", clause(the("lamp"), None, adjective=adjective("expensive"), than=the("table"))),
     "The lamp is more expensive than the table.", "Die Lampe ist teurer als der Tisch."),
    (Sentence("statement", clause(THEY, verb("placing", "place"), object=the("cup"), is_negated=True,
                                  whereabouts=Whereabouts("on", "auf", "acc", the("table")))),
     "They do not place the cup on the table.", "Sie stellen die Tasse nicht auf den Tisch."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("tree", "in_english", "in_german"), BY_HAND, ids=[english for _, english, _ in BY_HAND]
)
def test_sentences_are_right_in_both_languages(tree: Sentence, in_english: str, in_german: str) -> None:
    assert both(tree) == (in_english, in_german)


def test_pronouns_take_the_gender_of_the_german_noun() -> None:
    echoes = set()
    for name in ("table", "lamp", "book"):
        thing = the(name)
        it = Pronoun(3, False, thing.noun.gender, is_thing=True)
        tree = Sentence("subordinate last", clause(ME, buy, object=thing),
                        clause(ME, see, object=it), ("because", "weil"))  # fmt: skip
        assert english.sentence(tree).endswith("because I see it.")
        echoes.add(german.sentence(tree).partition("weil ")[2])
    assert echoes == {"ich ihn sehe.", "ich sie sehe.", "ich es sehe."}


def test_the_lexicon_pairs_words_one_to_one() -> None:
    nouns = [noun for group in (*WORDS.nouns.values(), *WORDS.compounds.values()) for noun in group]
    adjectives = {id(a): a for group in WORDS.adjectives.values() for a in group}.values()
    tables: list[set[tuple[str, str]]] = [
        {(noun.english, noun.german) for noun in nouns},
        {(noun.english_plural, noun.german_plural) for noun in nouns},
        {(adjective.english, adjective.german) for adjective in adjectives},
        *({(f"{v.english} {v.particle} {v.preposition}", v.prefix + v.infinitive) for v in verbs}
          for verbs in WORDS.verbs.values()),
    ]  # fmt: skip
    for table in tables:
        assert len({english for english, _ in table}) == len({german for _, german in table}) == len(table)


def test_a_sentence_has_one_translation_in_each_direction() -> None:
    sampler = Sampler(seed=3)
    to_german, to_english = defaultdict(set), defaultdict(set)
    for _ in range(20_000):
        in_english, in_german = both(sampler.sentence())
        to_german[in_english].add(in_german)
        to_english[in_german].add(in_english)
    assert [text for text, texts in to_german.items() if len(texts) > 1] == []
    assert [text for text, texts in to_english.items() if len(texts) > 1] == []


def test_there_are_far_more_than_a_hundred_thousand_pairs() -> None:
    # Drawing n of N equally likely things gives about n²/2N coincidences; unequal chances give more.
    sampler, n = Sampler(seed=4), 20_000
    distinct = len({both(sampler.sentence()) for _ in range(n)})
    assert n**2 / (2 * (n - distinct)) > 1_000_000


def test_every_construction_and_most_words_occur_in_the_default_corpus() -> None:
    sampler = Sampler(seed=1)
    trees = [sampler.sentence() for _ in range(8_000)]
    assert {tree.shape for tree in trees} == {tree.shape for tree, _, _ in BY_HAND} | {
        "subordinate first", "that", "joined"}  # fmt: skip
    text = " ".join(german.sentence(tree) for tree in trees)
    nouns = [noun.german for group in (*WORDS.nouns.values(), *WORDS.compounds.values()) for noun in group]
    assert [word for word in nouns if word not in text] == []
    participles = [v.participle for verbs in WORDS.verbs.values() for v in verbs]
    assert sum(word not in text for word in participles) < 0.1 * len(participles)


def corpus(**fields: object) -> GrammarCorpus:
    spec = parse(GrammarCorpusSpec, {"n_train": 2_011, "n_dev": 53, "n_test": 101, **fields})
    return GrammarCorpus(**spec.model_dump(exclude={"type"}))


def read(corpus: GrammarCorpus, split: str) -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in corpus.rows(split, bad_lines=BadLines("error"))]


def test_splits_have_their_sizes_and_share_no_sentence_on_either_side() -> None:
    splits = {split: read(corpus(), split) for split in corpus().splits()}
    assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 2_011, "dev": 53, "test": 101}
    everything = [pair for pairs in splits.values() for pair in pairs]
    for side in zip(*everything, strict=True):
        assert len(set(side)) == len(everything)


def test_no_german_sentence_comes_twice_even_if_the_grammar_made_it_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = german.sentence
    monkeypatch.setattr(german, "sentence", lambda tree: full(tree)[:8])
    targets = [target for _, target in read(corpus(n_train=301), "train")]
    assert len(set(targets)) == 301


def test_the_corpus_is_a_function_of_its_seed_and_the_test_set_not_of_the_training_size() -> None:
    assert read(corpus(), "train") == read(corpus(), "train")
    assert read(corpus(n_train=7), "test") == read(corpus(), "test")
    assert read(corpus(n_train=7), "dev") == read(corpus(), "dev")
    assert not set(read(corpus(seed=2), "test")) & set(read(corpus(), "test"))


def test_the_first_pairs_are_what_they_were() -> None:
    # A lock, not a truth: results on the embedded corpus compare only as long as it stays the same.
    assert corpus().fingerprint("test")[:16] == "5db845dbda2b137d"


def test_the_other_direction_is_the_same_corpus() -> None:
    turned = [(source, target) for target, source in read(corpus(source_language="de"), "dev")]
    assert turned == read(corpus(), "dev")


def test_a_fingerprint_tells_splits_seeds_and_directions_apart() -> None:
    changes: tuple[dict[str, object], ...] = ({}, {"seed": 2}, {"source_language": "de"})
    prints = [corpus(**fields).fingerprint(split) for split in ("dev", "test") for fields in changes]
    assert len(set(prints)) == 6
    assert prints[0] == corpus(n_train=5).fingerprint("dev")
