"""What is chosen by the machine at hand: as it is, and told to be a lesser one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from zoo import hardware
from zoo.kernels.attention import attend, choose
from zoo.kernels.linear import linear, prefers_onednn
from zoo.masks import Mask

AVX2_ONLY = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


@pytest.fixture(params=["AVX512 with bfloat16", "AVX2"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The choices of a processor with all that kernels ask for, and of one without."""
    is_large = request.param != "AVX2"
    monkeypatch.setattr(hardware, "instruction_set", lambda: "AVX512" if is_large else "AVX2")
    monkeypatch.setattr(hardware, "multiplies_bf16", lambda device="cpu": is_large)
    monkeypatch.setattr(hardware, "floats_in_a_vector", lambda: 16 if is_large else 8)
    return str(request.param)


def test_a_processor_without_bfloat16_trains_in_fp32_and_says_why() -> None:
    code = (
        "import json; from zoo import hardware; choice = hardware.precision();"
        "print(json.dumps([choice.value, choice.reason, hardware.instruction_set(), hardware.floats_in_a_vector(),"
        "hardware.onednn_pays(2048, 512, 2048), hardware.emulation_warning() or '']))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **AVX2_ONLY},
        capture_output=True,
        text=True,
        check=True,
    )
    value, reason, instructions, width, onednn, warning = json.loads(process.stdout)
    if instructions != "AVX2":
        pytest.skip(f"a processor of another kind: {instructions}")
    assert (value, width, onednn) == ("fp32", 8, False)
    assert reason == "this processor (AVX2) would only emulate bfloat16"
    assert "emulated" in warning
    assert "training.precision=auto" in warning


@pytest.mark.parametrize(
    ("supported", "units", "speedup", "expected"),
    [
        (False, True, 9.0, False),  # oneDNN is told not to, whatever the processor has
        (True, True, 0.1, True),  # the units are there: nothing is measured
        (True, False, 1.1, False),  # in doubt, and not worth it
        (True, False, 1.3, True),
    ],
)
def test_bfloat16_is_a_matter_of_capability_and_in_doubt_of_measurement(
    monkeypatch: pytest.MonkeyPatch, supported: bool, units: bool, speedup: float, expected: bool
) -> None:
    monkeypatch.setattr(hardware, "_onednn_multiplies_bf16", lambda: supported)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: units)
    monkeypatch.setattr(hardware, "bf16_speedup", lambda device="cpu": speedup)
    assert hardware.multiplies_bf16.__wrapped__("cpu") is expected


def test_a_gpu_that_emulates_bfloat16_is_not_taken_for_one_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {}

    def supports(*, including_emulation: bool) -> bool:
        asked["emulation"] = including_emulation
        return True

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supports)
    assert hardware.multiplies_bf16.__wrapped__("cuda") is True
    assert asked == {"emulation": False}


@pytest.mark.parametrize(("slow", "expected"), [(1.0, "fp32"), (0.5, "bf16-mixed")])
def test_apples_gpu_is_measured(monkeypatch: pytest.MonkeyPatch, slow: float, expected: str) -> None:
    speeds = {torch.float32: slow, torch.bfloat16: 1.0}
    monkeypatch.setattr(hardware, "multiply_speed", lambda device, dtype: speeds[dtype])
    monkeypatch.setattr(hardware, "multiplies_bf16", hardware.multiplies_bf16.__wrapped__)
    assert hardware.precision("mps").value == expected


def test_a_device_without_such_numbers_is_not_measured_but_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: str, dtype: torch.dtype) -> float:
        raise TypeError("BFloat16 is not supported on MPS")

    monkeypatch.setattr(hardware, "multiply_speed", fail)
    assert hardware.bf16_speedup("mps") == 0.0


def test_products_go_to_onednn_where_it_pays(machine: str) -> None:
    large, small = (torch.randn(4096, 256), torch.randn(1024, 256)), (torch.randn(3, 64), torch.randn(64, 64))
    assert prefers_onednn(*large) is (machine != "AVX2" and hardware._has_onednn())
    assert not prefers_onednn(*small)
    exact = large[0].double() @ large[1].double().T
    torch.testing.assert_close(linear(*large).double(), exact, rtol=1e-5, atol=2e-4)


def test_only_large_products_that_learn_get_a_gradient_of_ours(machine: str) -> None:
    weight = torch.randn(1024, 256, requires_grad=True)
    small, large = (torch.randn(rows, 256) for rows in (128, 512))
    ours = machine != "AVX2" and hardware._has_onednn()
    assert [type(linear(x, weight).grad_fn).__name__ == "_LinearBackward" for x in (small, large)] == [
        False,
        ours,
    ]
    with torch.no_grad():
        assert prefers_onednn(small, weight) is ours


def test_attention_in_emulated_bfloat16_goes_to_the_fused_kernel(machine: str) -> None:
    q, k, v = (torch.randn(2, 3, 64, 16, dtype=torch.bfloat16) for _ in range(3))
    chosen = choose(q, k, v, mask=Mask(causal=True), bias=None, dropout=0.0)
    assert chosen == ("sdpa" if machine == "AVX2" else "matmul")


@pytest.mark.parametrize("n_keys", [5, 8, 11, 16, 19])
def test_attention_is_equal_whatever_the_registers_hold(machine: str, n_keys: int) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, n, 7, requires_grad=True) for n in (9, n_keys, n_keys))
    upstream = torch.randn(2, 3, 9, 7)
    results = []
    for kernel in ("matmul", "eager"):
        output = attend(q, k, v, mask=Mask(), scale=0.3, kernel=kernel)
        results.append((output, *torch.autograd.grad(output, (q, k, v), upstream)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)
