"""A mixer of one's own with its decoding state: each output is a decaying sum of the inputs so far.

On the command line: `zoo train char_gpt --scale tiny --plugin THIS_FILE model.decoder.layer.mixer=fading`.
"""

from typing import Literal

import torch
from torch import nn

import zoo
from registry import Spec
from zoo.conformance import findings, part_of
from zoo.kernels.cache import StateCache
from zoo.kernels.strips import strips_of
from zoo.kinds import DECODING, MIXER, MixerSpec


class FadingSpec(MixerSpec):
    type: Literal["fading"] = "fading"

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if role != "causal":
            raise ValueError("fading looks back only: use it in a decoder")


@MIXER.register("fading", spec=FadingSpec, examples=[{}])
class Fading(nn.Module):
    """h_t = a · h_(t-1) + (1 - a) · W x_t, with a learnt for each feature."""

    def __init__(self, *, d_model: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)
        self.decay = nn.Parameter(torch.linspace(0, 4, d_model))

    def forward(self, x, *, mask, position, cache):
        strips = strips_of(mask, x)  # documents side by side: real tokens first, zeros behind them
        rows = self.inner(strips.split(x))  # [N, L, D]
        kept = x.new_zeros(x.shape[0], x.shape[2]) if cache is None or not cache.state else cache.state[0]
        h, a, outputs = strips.begin(kept).expand(len(rows), -1), self.decay.sigmoid(), []
        for t in range(rows.shape[1]):
            fed = torch.lerp(rows[:, t], h, a)
            h = fed if strips.valid is None else torch.where(strips.valid[:, t, None], fed, h)
            outputs.append(h)
        if cache is not None:
            cache.state = (strips.end(h, kept).clone(),)
        return self.outer(strips.join(torch.stack(outputs, dim=1)))

    def new_cache(self):
        return StateCache()  # h of each row; a search reorders rows without knowing what is in it


if __name__ == "__main__":
    for found in findings({"fading": part_of(MIXER, FadingSpec())}):
        print(f"{found.result}: {found.law}")
    run = zoo.load("char_gpt", "model.decoder.layer.mixer=fading", "generation.max_length=8", scale="tiny")
    model = zoo.build(run.model).eval()
    [[best, *_]] = DECODING.build(run.generation)(model, torch.tensor([[5, 6, 7]]))
    print("it writes", len(best.tokens), "tokens from its state alone")
