from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside the tests: toy, comparison


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The toy task, registered; not at collection, where other tests count what is registered."""
    return importlib.import_module("toy")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors are slower on two threads, and a busy machine much slower."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)
