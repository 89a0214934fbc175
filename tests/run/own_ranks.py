"""A stock Trainer with zoo.lightning's two; with several devices Lightning starts this script once for each.

own_ranks.py SPEC FOLDER DEVICES STEPS ACCUMULATE    writes weights and figures into FOLDER/own.pt
"""

from __future__ import annotations

import sys

import torch
from lightning.pytorch import Trainer

import zoo
from zoo.training.quiet import quiet_lightning


def main(spec: str, folder: str, devices: int, steps: int, accumulate: int) -> None:
    torch.set_num_threads(1)
    module, data = zoo.lightning(spec, folder, progress=False)
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
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
    weights = {name: tensor.clone() for name, tensor in module.model.state_dict().items()}
    figures = {
        **trainer.validate(module, data, verbose=False)[0],
        **trainer.test(module, data, verbose=False)[0],
    }
    answers = module.from_all_ranks(trainer.predict(module, data))
    rows = sorted((each["row"], each["text"]) for rank in answers for batch in rank or [] for each in batch)
    if trainer.is_global_zero:
        torch.save({"weights": weights, "figures": figures, "answers": rows}, f"{folder}/own.pt")


if __name__ == "__main__":
    with quiet_lightning():
        main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
