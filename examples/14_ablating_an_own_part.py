"""Is a part of one's own any better? It against the built-in one, at equal parameters, with several seeds.

python 14_ablating_an_own_part.py [STEPS]; on the command line: `zoo ablate FILE --plugin my_part.py`.
"""

import subprocess
import sys

import zoo

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
# An own part to try: any file will do. This one is what `zoo new` begins with, relu(x W₁)² W₂.
subprocess.run([sys.executable, "-m", "zoo.cli.main", "new", "ffn", "squared"], check=True)

ablation = {
    "base": "quickstart",
    "scale": "tiny",
    "overrides": {"training.max_steps": steps, "generation": {"type": "greedy", "max_length": 12}},
    "variants": {"squared": {"model.encoder.layer.ffn": {"type": "squared", "d_ff": 64}}},
    "match": "parameters",
    "by": "model.encoder.layer.ffn.d_ff",
    "seeds": 2,
}
results = zoo.ablate(ablation, out="ablation", plugins=["squared.py"])
for row in results.rows():
    print(f"{row['variant']}, seed {row['seed']}: {row['status']}, BLEU {row['bleu']:.2f}")
print("what can be concluded: zoo report ablation")
