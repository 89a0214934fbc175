"""A package that others install: `zoo new --package` writes it, pip builds it, its preset trains like any other."""

import subprocess
import sys
from pathlib import Path

zoo = [sys.executable, "-m", "zoo.cli.main"]
subprocess.run([*zoo, "new", "ffn", "squared", "--package"], check=True)
for file in sorted(Path("squared").rglob("*.*")):
    print(file, file.stat().st_size, "bytes")

# Installed here into a folder of its own; elsewhere `pip install ./squared` is all.
install = [
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--target",
    "installed",
    "./squared",
]
subprocess.run([sys.executable, "-m", *install], check=True)

# In a process that finds it, the part is known by its name, and so is the preset that the package ships.
program = """
import zoo, presets
print("preset:", "squared" in presets.names())
run = zoo.load("squared", "training.max_steps=2", scale="tiny")
print("its part:", run.model.encoder.layer.ffn)
folder = zoo.train(run, "run")
print((folder / "plugins.json").read_text())
"""
path = f"import sys; sys.path.insert(0, {str(Path('installed').resolve())!r})\n"
subprocess.run([sys.executable, "-c", path + program], check=True)
