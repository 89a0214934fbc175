"""Constituency trees in brackets: `(S (NP (DT the) (NN dog)) (VP (VBZ barks)))`, and as a line of symbols.

A leaf is a word under its part of speech. Brackets that are words are written -LRB- and -RRB-, as in the Penn Treebank.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.special_ids import UNKNOWN_TEXT

TOKEN = re.compile(r"[()]|[^()\s]+")
TOPS = frozenset({"", "ROOT", "TOP", "S1"})
"""Labels of the bracket around a whole tree, which says nothing."""
TRACE = "-NONE-"
UNCLOSED = "this bracket is not closed"
"""How the refusal of a tree ends that is cut off."""
WORD = "XX"
"""Stands for each word in a line of symbols."""


@dataclass(frozen=True)
class Leaf:
    """A word and its part of speech."""

    tag: str
    word: str


@dataclass(frozen=True)
class Tree:
    """A bracket: its label, and what is in it."""

    label: str
    parts: tuple[Tree | Leaf, ...]

    def leaves(self) -> Iterator[Leaf]:
        """The words, in order."""
        for part in self.parts:
            if isinstance(part, Leaf):
                yield part
            else:
                yield from part.leaves()


def parse(text: str) -> tuple[Tree | Leaf, ...]:
    """The trees of one line, without the bracket around the whole, without functions and traces.

    Of `(ROOT (S (NP-SBJ ...) ...))` that is S with its NP. Several where the bracket around has several.
    Raises: ValueError for a line that is no tree, saying at which character.
    """
    stack: list[tuple[str, list[Tree | Leaf], int]] = []
    found: Tree | Leaf | None = None
    is_open = False  # whether the label of the bracket just opened is still to come
    word = ""
    for match in TOKEN.finditer(text):
        token, place = match.group(), match.start() + 1
        if found is not None and not stack:
            raise ValueError(f"character {place}: {token!r} after the end of the tree")
        if token == "(":
            if word:
                raise ValueError(f"character {place}: a bracket beside the word {word!r}")
            stack.append(("", [], place))
            is_open = True
        elif not stack:
            raise ValueError(f"character {place}: {token!r} outside the brackets")
        elif token == ")":
            label, parts, begin = stack.pop()
            if word:
                found = Leaf(label, word)
            elif not parts:
                raise ValueError(f"character {begin}: a bracket with nothing in it")
            else:
                found = Tree(label, tuple(parts))
            word, is_open = "", False
            if stack:
                stack[-1][1].append(found)
        elif is_open:
            stack[-1] = (token, [], stack[-1][2])
            is_open = False
        elif word or stack[-1][1]:
            raise ValueError(f"character {place}: the word {token!r} has no bracket of its own")
        else:
            word = token
    if stack:
        raise ValueError(f"character {stack[-1][2]}: {UNCLOSED}")
    if found is None:
        raise ValueError("there is no tree")
    cleaned = _cleaned(found)
    if not cleaned:
        raise ValueError("there is no word in it")
    whole = cleaned[0]
    return whole.parts if isinstance(whole, Tree) and whole.label in TOPS else cleaned


def plain_label(label: str) -> str:
    """A label without function and index: NP of NP-SBJ-1 and NP=2; what begins with a hyphen, as -LRB-, stays."""
    return label if label.startswith("-") else re.split("[-=|]", label, maxsplit=1)[0]


def leaves(trees: Sequence[Tree | Leaf]) -> list[Leaf]:
    """The words of a line's trees."""
    return [leaf for tree in trees for leaf in ([tree] if isinstance(tree, Leaf) else tree.leaves())]


def bracketed(trees: Sequence[Tree | Leaf]) -> str:
    """The trees on a line, with the bracket ROOT around them."""
    return f"(ROOT {' '.join(map(_bracketed, trees))})"


def symbols(trees: Sequence[Tree | Leaf], *, with_tags: bool = False) -> list[str]:
    """A line of symbols: `(S`, `(NP`, for each word its part of speech or, whatever that is, XX, `)NP`, `)S`.

    Source: Vinyals et al. 2015, "Grammar as a Foreign Language", section 2.2 and Figure 2; parts of speech as XX:
        section 3.1.
    """
    found: list[str] = []
    for tree in trees:
        if isinstance(tree, Leaf):
            found.append(tree.tag if with_tags else WORD)
        else:
            found += [f"({tree.label}", *symbols(tree.parts, with_tags=with_tags), f"){tree.label}"]
    return found


def with_words(line: Sequence[str], words: Sequence[Leaf]) -> tuple[Tree | Leaf, ...]:
    """The trees that a line of symbols says of some words, with the parts of speech that it says: XX says none.

    Raises: ValueError for brackets that are not closed by their own labels, that are empty, and for another number of
        words.
    """
    stack: list[tuple[str, list[Tree | Leaf]]] = [("", [])]
    n = 0
    for symbol in line:
        if symbol.startswith("("):
            stack.append((symbol[1:], []))
        elif symbol.startswith(")"):
            label, parts = stack.pop()
            if not stack or label != symbol[1:]:
                raise ValueError(f"{symbol} closes no bracket")
            if not parts:
                raise ValueError(f"nothing is in the bracket {label}")
            stack[-1][1].append(Tree(label, tuple(parts)))
        elif symbol == UNKNOWN_TEXT:
            raise ValueError(f"{symbol!r} is no symbol of a tree")
        elif n == len(words):
            raise ValueError(f"more than {len(words)} words")
        else:
            stack[-1][1].append(words[n] if symbol == WORD else Leaf(symbol, words[n].word))
            n += 1
    if len(stack) > 1:
        raise ValueError(f"the bracket {stack[-1][0]} is not closed")
    if n < len(words):
        raise ValueError(f"{n} words, of {len(words)}")
    return tuple(stack[0][1])


def spans(trees: Sequence[Tree | Leaf], is_counted: Sequence[bool]) -> Counter[tuple[str, int, int]]:
    """The brackets as (label, first, end), in counted words; those with none of them are left out."""
    found: Counter[tuple[str, int, int]] = Counter()

    def visit(tree: Tree | Leaf, place: int, begin: int) -> tuple[int, int]:
        if isinstance(tree, Leaf):
            return place + 1, begin + is_counted[place]
        end = begin
        for part in tree.parts:
            place, end = visit(part, place, end)
        if end > begin:
            found[tree.label, begin, end] += 1
        return place, end

    place = begin = 0
    for tree in trees:
        place, begin = visit(tree, place, begin)
    return found


def _cleaned(tree: Tree | Leaf) -> tuple[Tree | Leaf, ...]:
    if isinstance(tree, Leaf):
        return () if tree.tag == TRACE else (tree,)
    parts = tuple(kept for part in tree.parts for kept in _cleaned(part))
    return (Tree(plain_label(tree.label), parts),) if parts else ()


def _bracketed(tree: Tree | Leaf) -> str:
    if isinstance(tree, Leaf):
        return f"({tree.tag} {tree.word})"
    return f"({tree.label} {' '.join(map(_bracketed, tree.parts))})"
