from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.errors import RunError
from zoo.storage.weights import first_names, read_weights, untied, write_weights

DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16, torch.float16, torch.bfloat16),
    *(torch.int32, torch.uint32, torch.float32, torch.complex64, torch.float64, torch.int64, torch.uint64),
)


def of_every_dtype() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((), (5,), (3, 0), (2, 3, 7))
    return {
        f"{9 - i}.{dtype}": torch.randint(0, 2, shape, generator=generator).to(dtype)
        for dtype in DTYPES
        for i, shape in enumerate(shapes)
    }


def test_a_file_is_byte_for_byte_what_safetensors_own_writer_makes(tmp_path: Path) -> None:
    weights = of_every_dtype()
    write_weights(tmp_path / "ours", weights)
    save_file(weights, tmp_path / "theirs", metadata={"tied": "{}"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_weights_of_every_dtype_come_back(tmp_path: Path) -> None:
    weights = of_every_dtype()
    write_weights(tmp_path / "a", weights)
    found = read_weights(tmp_path / "a")
    assert set(found) == set(weights)
    assert all(found[name].dtype == weights[name].dtype for name in weights)
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_tied_names_are_in_the_one_key_of_the_metadata(tmp_path: Path) -> None:
    weight = torch.randn(3, 5)
    write_weights(tmp_path / "a", {"b": weight, "a": weight, "c": weight.clone(), "d": weight.t()})
    with safe_open(tmp_path / "a", framework="pt") as file:
        assert file.metadata() == {"tied": '{"a": "b"}'}
    found = read_weights(tmp_path / "a")
    assert found["a"] is found["b"]
    assert torch.equal(found["d"], weight.t())


def test_a_dtype_that_is_not_stored_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"tensor 'w' is of type torch\.float8_e5m2; only U64, I64, .* are written"
    ):
        write_weights(tmp_path / "a", {"w": torch.ones(3).to(torch.float8_e5m2)})
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_shared_tensor_goes_by_its_first_name_on_any_device(device: str) -> None:
    weight = torch.nn.Parameter(torch.empty(3, device=device))
    other, empty = torch.empty(3, device=device), torch.empty(0, device=device)
    weights = {"b": weight, "x": other, "a": weight, "e": empty, "f": torch.empty(0, device=device)}
    assert first_names(weights) == {"b": "b", "x": "x", "a": "b", "e": "e", "f": "f"}
    assert list(untied(weights)) == ["b", "x", "e", "f"]


@pytest.mark.parametrize("metadata", [b"[1]", b'{"tied":3}'])
def test_damaged_metadata_is_an_error(tmp_path: Path, metadata: bytes) -> None:
    header = b'{"__metadata__":' + metadata + b"}"
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(RunError, match="a: damaged: its metadata should map names to texts"):
        read_weights(tmp_path / "a")


def test_a_missing_file_of_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a: cannot be read: No such file"):
        read_weights(tmp_path / "a")
