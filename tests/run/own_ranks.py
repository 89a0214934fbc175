"""A stock Trainer with zoo.lightning's two; with several devices Lightning starts this script once for each.

own_ranks.py SPEC FOLDER DEVICES STEPS ACCUMULATE [SHARES]    writes weights and figures into FOLDER/own.pt
SHARES 1: the devices share the weights (ModelParallelStrategy)
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy

import zoo
from zoo.training.quiet import quiet_lightning
from zoo.training.sharding import whole_weights


def main(spec: str, folder: str, devices: int, steps: int, accumulate: int, shares: int = 0) -> None:
    torch.set_num_threads(1)
    module, data = zoo.lightning(spec, folder, progress=False)
    strategy: Any = "ddp" if devices > 1 else "auto"
    if shares:
        strategy = ModelParallelStrategy(data_parallel_size=devices, tensor_parallel_size=1)
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=strategy,
        max_steps=steps,
        accumulate_grad_batches=accumulate,
        limit_val_batches=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, data)
    parameters = list(module.model.parameters())
    n = sum(each.numel() for each in parameters)
    n_held = sum((each.to_local() if shares else each).numel() for each in parameters)  # type: ignore[operator]
    weights = {name: tensor.clone() for name, tensor in whole_weights(module.model, is_wanted=True).items()}
    figures = {
        **trainer.validate(module, data, verbose=False)[0],
        **trainer.test(module, data, verbose=False)[0],
    }
    answers = module.from_all_ranks(trainer.predict(module, data))
    rows = sorted((each["row"], each["text"]) for rank in answers for batch in rank or [] for each in batch)
    if trainer.is_global_zero:
        torch.save(
            {"weights": weights, "figures": figures, "answers": rows, "held": n_held / n}, f"{folder}/own.pt"
        )


if __name__ == "__main__":
    with quiet_lightning():
        main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
