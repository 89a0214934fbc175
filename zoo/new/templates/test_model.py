"""The laws of every model, and what is special in this one."""

from collections.abc import Callable

import torch
import zoo
from torch import nn
from zoo.conformance import parametrize_with_laws

from my_part import EXAMPLE


@parametrize_with_laws(["model/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def model(n_rounds: int) -> nn.Module:
    spec = {**EXAMPLE, "type": "my_part", "n_rounds": n_rounds}
    torch.manual_seed(1)
    return zoo.build(zoo.load({"model": spec}).model).eval()


def test_more_rounds_need_no_more_weights_and_say_something_else() -> None:
    once, thrice = model(1), model(3)
    ids = torch.randint(29, (2, 5))
    assert once.state_dict().keys() == thrice.state_dict().keys()
    assert not torch.allclose(once(ids), thrice(ids))
    once_again = model(1)
    torch.testing.assert_close(once(ids), once_again(ids))
