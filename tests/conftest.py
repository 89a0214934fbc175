"""One thread: the sizes here are far below what a second one would help, and two fight over busy cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
