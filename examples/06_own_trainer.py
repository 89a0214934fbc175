"""A run of ours in a Trainer of yours: stock callbacks, a stock logger, a checkpoint of Lightning's own."""

import sys
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

import zoo

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 8

run = zoo.load(
    "quickstart",
    "training.schedule={type: inverse_sqrt, peak_lr: 3e-3, warmup_steps: 20}",
    "generation={type: greedy, max_length: 12}",
    scale="tiny",
)
module, data = zoo.lightning(run)  # reads the data, learns the tokenizer, draws the first weights

best = ModelCheckpoint("checkpoints", monitor="val_score", mode=module.mode_of("val_score"))
trainer = Trainer(
    accelerator="cpu",
    max_epochs=EPOCHS,
    callbacks=[best, EarlyStopping("val_loss", patience=3), LearningRateMonitor("step")],
    logger=CSVLogger(".", "logs"),
    log_every_n_steps=5,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(module, data)
print(
    f"{trainer.global_step} steps in {trainer.current_epoch} epochs; rates and losses in {trainer.logger.log_dir}"
)

state = torch.load(best.best_model_path, weights_only=True)  # nothing in it is code
module.load_state_dict(state["state_dict"])
(validated,) = trainer.validate(module, data, verbose=False)
(tested,) = trainer.test(module, data, verbose=False)
print(f"validation loss {validated['val_loss']:.3f}; test BLEU {tested['test_bleu']:.2f}")

answers = [answer for batch in trainer.predict(module, data) or [] for answer in batch]
for answer in sorted(answers, key=lambda answer: answer["row"])[:3]:
    print(f"row {answer['row']}: {answer['text']}")

again, data = zoo.lightning(run)  # the same weights to begin with, in a folder of its own
longer = Trainer(
    accelerator="cpu",
    max_epochs=EPOCHS + 1,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
)
longer.fit(again, data, ckpt_path=trainer.checkpoint_callback.best_model_path)
print(f"and on from {Path(best.best_model_path).name}: {longer.global_step} steps")
