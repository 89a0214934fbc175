"""A model: an encoder whose stack works several rounds over the same input.

Next:
    pytest test_my_part.py
    zoo conform model/my_part --plugin my_part.py
    zoo train text_classifier_small --scale tiny --plugin my_part.py model.type=my_part model.d_model=32 \
      'model.inputs={type: tokens, vocab_size: 300}' \
      'model.encoder.layer={self_attention: {type: multi_head, n_heads: 2}, ffn: {type: mlp, d_ff: 64}}' \
      'model.encoder.n_layers=1' 'model.head={type: pooled_classifier, n_classes: 4, pool: mean}'
"""

from typing import Any, Literal

from pydantic import Field
from torch import Tensor
from zoo.assembly.encoder_only import EncoderOnly, EncoderOnlySpec
from zoo.kinds import MODEL
from zoo.masks import Mask

LAYER = {
    "self_attention": {"type": "multi_head", "n_heads": 2},
    "ffn": {"type": "mlp", "d_ff": 16},
}
EXAMPLE = {
    "d_model": 8,
    "n_rounds": 2,
    "inputs": {"type": "tokens", "vocab_size": 29},
    "encoder": {"n_layers": 1, "layer": LAYER},
    "head": {"type": "language_model", "predicts": "inputs"},
}


class MyPartSpec(EncoderOnlySpec):
    type: Literal["my_part"] = "my_part"  # type: ignore[assignment]
    n_rounds: int = Field(3, ge=1, le=100)
    """How often the stack's layers work, with the same weights."""


@MODEL.register(
    "my_part",
    spec=MyPartSpec,
    examples=[EXAMPLE],
)
class MyPart(EncoderOnly):
    """An encoder whose output is its input again, n_rounds times, positions added anew.

    Source: Dehghani et al. 2019 (Universal Transformers), without adaptive halting.
    Shapes: inputs int64 [B, N] -> the head's output; mask bool [B, N].
    """

    # What it adds to the constructor it extends; the rest is passed on.
    def __init__(self, *, n_rounds: int, **inherited: Any) -> None:
        super().__init__(**inherited)
        self.n_rounds = n_rounds

    def hidden(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        types: Tensor | None = None,
        global_tokens: Tensor | None = None,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The vectors [B, N, D] and which of them stand for real input."""
        x, mask = self.inputs(inputs, mask=mask, types=types)
        seen = Mask(
            keys=mask,
            global_tokens=global_tokens,
            documents=documents,
            positions=positions,
        )
        for _ in range(self.n_rounds):
            x = self.encoder(x, mask=seen)
        return x, mask

    # What every model answers, so that nobody asks which one it is: zoo.kinds.Model.
