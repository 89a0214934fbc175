"""The laws of every embedding, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws

from my_part import MyPart


@parametrize_with_laws(["embedding/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_each_id_below_the_square_of_the_rows_has_a_vector_of_its_own() -> None:
    part = MyPart(d_model=6, vocab_size=25, n_rows=5)
    vectors, mask = part(torch.arange(25)[None], mask=None, types=None)
    assert mask is None
    assert len({tuple(each) for each in vectors[0].tolist()}) == 25
    assert sum(p.numel() for p in part.parameters()) == 2 * 5 * 6
