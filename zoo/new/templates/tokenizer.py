"""A tokenizer of words without regard to capitals.

Next:
    pytest test_my_part.py
    zoo describe tokenizer/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py task.tokenizer=my_part
"""

import re
from collections.abc import Iterable
from typing import Literal

from registry import Spec
from zoo.data.listed import ListedTokenizer, most_common
from zoo.kinds import TOKENIZER

TOKEN = re.compile(r" ?\w+| ?[^\w\s]+|\s+")  # a word or some signs, the space before


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"


@TOKENIZER.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}],
)
class MyPart:
    """Words in small letters; the most frequent make a vocabulary of at most vocab_size."""

    def train(
        self,
        lines: Iterable[str],
        *,
        vocab_size: int,
    ) -> "MyPartTrained":
        """Counts the words of the training text."""
        words = most_common(map(words_of, lines), vocab_size)
        return MyPartTrained.of(words)

    @staticmethod
    def restore(data: bytes) -> "MyPartTrained":
        """The one that was trained before, from the bytes it saved."""
        return MyPartTrained(data)


# A list of tokens has encode, decode and save already; what is no list extends
# zoo.data.tokenizer.Tokenizer, which says what is needed.
class MyPartTrained(ListedTokenizer):
    """A list of words."""

    type = "my_part"
    unknown_text = " ⁇"

    def split(self, text: str) -> list[str]:
        """The tokens of a text, which joined give it back in small letters."""
        return words_of(text)


def words_of(text: str) -> list[str]:
    """Words and signs in small letters."""
    return TOKEN.findall(text.casefold())
