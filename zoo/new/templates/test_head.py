"""The laws of every head, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws

from my_part import MyPart


@parametrize_with_laws(["head/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_it_sees_the_mean_and_the_largest_value_of_real_places() -> None:
    part = MyPart(d_model=2, embeddings={}, n_classes=3)
    hidden = torch.tensor([[[1.0, 5.0], [3.0, -1.0], [99.0, 99.0]]])
    seen = torch.tensor([[2.0, 2.0, 3.0, 5.0]])  # means, then maxima
    out = part(hidden, mask=torch.tensor([[True, True, False]]))
    torch.testing.assert_close(out, part.output(seen))
