"""Trains the toy on several ranks, gloo on the CPU; Lightning starts this script once for each.

ranks.py FOLDER SETTINGS [RANK STEP]    SETTINGS of toy_run as JSON; a SIGTERM to RANK at STEP
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import toy

from zoo.errors import PreemptedError
from zoo.training import keeper
from zoo.training.fit import fit


def main() -> None:
    torch.set_num_threads(1)
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if len(sys.argv) > 3 and rank == int(sys.argv[3]):
        original = keeper.Keeper._count

        def counting(self: keeper.Keeper, *args: Any) -> None:
            original(self, *args)
            if self.progress.step == int(sys.argv[4]):
                os.kill(os.getpid(), signal.SIGTERM)

        keeper.Keeper._count = counting  # type: ignore[method-assign]
    try:
        fit(toy.toy_run(**settings), folder, resume=(folder / "checkpoints").exists(), progress=False)
    except PreemptedError:
        sys.exit(143)


if __name__ == "__main__":
    main()
