"""pytorch_model.bin: read when asked to, tensors only."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from zoo.errors import RunError
from zoo.interop.hugging_face import from_hf

BERT = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
}
TOKENS = torch.tensor([[5, 7, 30, 9, 11], [8, 6, 13, 21, 3]])


def pickled(tmp_path: Path, shards: int = 1) -> tuple[Any, Path]:
    torch.manual_seed(0)
    reference = BertModel(BertConfig(**BERT)).eval()
    folder = tmp_path / "x"
    reference.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if shards == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return reference, folder
    names = [f"pytorch_model-{i + 1:05d}-of-{shards:05d}.bin" for i in range(shards)]
    places = {name: names[i % shards] for i, name in enumerate(tensors)}
    for name in names:
        torch.save({key: tensors[key] for key, place in places.items() if place == name}, folder / name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    return reference, folder


@pytest.mark.parametrize("shards", [1, 3])
def test_pickles_are_read_at_the_users_word_only(shards: int, tmp_path: Path) -> None:
    reference, folder = pickled(tmp_path, shards)
    with pytest.raises(
        RunError, match=r"a pickle can execute anything .* convert it .*save_pretrained.*: --unpickle"
    ):
        from_hf(folder)
    _, model = from_hf(folder, unpickle=True)
    assert_close(model(TOKENS), reference(TOKENS).pooler_output, rtol=2e-5, atol=2e-5)


def test_a_pickle_of_the_older_format_is_read_too(tmp_path: Path) -> None:
    reference, folder = pickled(tmp_path)
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    assert_close(
        from_hf(folder, unpickle=True)[1](TOKENS), reference(TOKENS).pooler_output, rtol=2e-5, atol=2e-5
    )


class Trap:
    """Would write a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.file,)


def test_a_pickle_that_holds_more_than_tensors_is_refused_and_nothing_of_it_executed(tmp_path: Path) -> None:
    _, folder = pickled(tmp_path)
    file, sprung = folder / "pytorch_model.bin", tmp_path / "sprung"
    for data in (pickle.dumps(Trap(sprung)), b"", b"no pickle"):
        file.write_bytes(data)
        with pytest.raises(
            RunError, match=r"pytorch_model\.bin: torch\.load\(weights_only=True\) does not read it"
        ):
            from_hf(folder, unpickle=True)
    torch.save({"weights": Trap(sprung)}, file)
    with pytest.raises(RunError, match="does not read it"):
        from_hf(folder, unpickle=True)
    torch.save({"epoch": 3, "model": {"x": torch.ones(2)}}, file)
    with pytest.raises(RunError, match="it holds something else than tensors by their names"):
        from_hf(folder, unpickle=True)
    assert not sprung.exists()
    file.rename(folder / "model.pt")
    with pytest.raises(RunError, match=r"there is no such file; only pytorch_model\.bin and its shards"):
        from_hf(folder, unpickle=True)
