"""safetensors files, one tensor at a time: nothing is mapped into memory, and nothing is held twice.

The format: a length (8 bytes, little-endian), a JSON header {name: {dtype, shape, data_offsets}}, the tensors' bytes.
safetensors' own reader maps the whole file, whose pages then count as memory, and its writer copies all tensors first.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.errors import RunError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}
_BLOCK_BYTES = 1 << 23
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


class Readable(Protocol):
    """A tensor that is there to be read."""

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read_into(self, out: Tensor) -> None:
        """Writes the tensor into one of its shape, in that one's dtype."""
        ...

    def blocks(self) -> Iterator[Tensor]:
        """Its values in order, in flat pieces, each valid until the next is asked for."""
        ...


@dataclass(frozen=True)
class Held:
    """A tensor of a live model."""

    tensor: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """Its dtype."""
        return self.tensor.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return tuple(self.tensor.shape)

    def read_into(self, out: Tensor) -> None:
        """Copies the tensor."""
        out.copy_(self.tensor.detach())

    def blocks(self) -> Iterator[Tensor]:
        """The tensor, flat, on the CPU."""
        yield self.tensor.detach().cpu().flatten()


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies in a file."""

    file: Path
    offset: int
    """In bytes from the file's start."""
    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """Its length in the file."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read_into(self, out: Tensor) -> None:
        """Writes the tensor into one of its shape, in that one's dtype; needs no memory besides a block's."""
        assert tuple(out.shape) == self.shape
        flat = out.view(-1)
        if out.dtype == self.dtype:
            with self.file.open("rb", buffering=0) as file:
                file.seek(self.offset)
                self._fill(file, flat)
            return
        start = 0
        for block in self.blocks():
            flat[start : start + len(block)] = block
            start += len(block)

    def blocks(self) -> Iterator[Tensor]:
        """Its values in order, in flat pieces, each valid until the next is asked for."""
        n = math.prod(self.shape)
        room = scratch(min(self.n_bytes, _BLOCK_BYTES)).view(self.dtype)
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset)
            for start in range(0, n, max(1, len(room))):
                block = room[: n - start]
                self._fill(file, block)
                yield block

    def _fill(self, file: FileIO, flat: Tensor) -> None:
        room = flat.view(torch.uint8).numpy().data
        done = 0
        while done < len(room):
            n = file.readinto(room[done:])
            if not n:
                raise RunError(f"{self.file}: it ends within a tensor")
            done += n


def scratch(n_bytes: int) -> Tensor:
    """Room for a while, uint8 [n], apart from the allocator's, where it would leave holes between weights."""
    if not n_bytes:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(mmap.mmap(-1, n_bytes), dtype=torch.uint8)


def stored_tensors(file: Path) -> dict[str, Stored]:
    """What a file holds, by its header alone.

    Raises: RunError for one that is missing, unreadable or no safetensors file.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
                raise RunError(
                    f"{file}: damaged or no safetensors file: its header cannot be {length:,} bytes long"
                )
            header = json.loads(stream.read(length), object_pairs_hook=_distinct)
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{file}: damaged or no safetensors file: its header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise RunError(f"{file}: damaged or no safetensors file: its header is no mapping")
    found = {
        name: _stored(file, name, entry, 8 + length)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    end = 8 + length
    for name, tensor in sorted(found.items(), key=lambda item: (item[1].offset, item[1].n_bytes)):
        if tensor.offset != end:
            raise RunError(f"{file}: damaged: tensor {name!r} does not begin where the one before it ends")
        end += tensor.n_bytes
    if end != size:
        raise RunError(f"{file}: damaged: it is {size:,} bytes long, and its header tells of {end:,}")
    return found


def _stored(file: Path, name: str, entry: Any, start: int) -> Stored:
    try:
        code, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, last]
        is_sound = all(type(number) is int and number >= 0 for number in numbers)
    except (TypeError, KeyError, ValueError):
        is_sound = False
    if not is_sound:
        raise RunError(f"{file}: damaged: its header says of tensor {name!r} what cannot be")
    if code not in DTYPES:
        raise RunError(f"{file}: tensor {name!r} is of type {code}; only {', '.join(DTYPES)} are read")
    dtype = DTYPES[code]
    if last - first != math.prod(shape) * dtype.itemsize:
        raise RunError(f"{file}: damaged: the shape of tensor {name!r} does not go with its length")
    return Stored(file, start + first, dtype, tuple(shape))


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def write_tensors(
    file: Path, about: Mapping[str, tuple[torch.dtype, Sequence[int]]], tensors: Iterable[tuple[str, Tensor]]
) -> None:
    """Writes a file whose tensors, with the dtypes and shapes said in `about`, come one by one in that order."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in about.items():
        end = offset + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that tensors start at a multiple of 8
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for (expected, (dtype, shape)), (name, tensor) in zip(about.items(), tensors, strict=True):
            assert (expected, dtype, tuple(shape)) == (name, tensor.dtype, tuple(tensor.shape))
            if tensor.numel():
                stream.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
