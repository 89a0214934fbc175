"""What training takes is compared with what there is before anything is built."""

import pytest
import torch

import zoo
from registry import SpecError
from zoo.run import memory
from zoo.run.memory import check_count, check_memory, estimate, free_memory, in_bytes, summary

GB = 10**9


@pytest.fixture
def machine(monkeypatch):
    """A machine of so many bytes, without a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return lambda n: monkeypatch.setattr(memory, "free_memory", lambda: n)


def quickstart(*overrides):
    return zoo.load("quickstart", "training.precision=fp32", "training.accelerator=cpu", *overrides)


def test_weights_gradients_and_adams_means_are_four_bytes_each():
    found = estimate(quickstart())
    n = 1_178_624
    assert (found.weights, found.gradients, found.optimizer) == (4 * n, 4 * n, 8 * n)
    assert found.total == found.weights + found.gradients + found.optimizer + found.activations


def test_activations_grow_with_the_batch_and_processes_share_the_memory_of_a_cpu():
    once, twice = (
        estimate(quickstart(f"training.tokens_per_batch={n}")).activations for n in (200_000, 400_000)
    )
    assert 1.7 < twice / once <= 2  # the loss works on a chunk, however large the batch
    assert estimate(quickstart("training.devices=3")).weights == 3 * estimate(quickstart()).weights
    shared = quickstart("training.devices=3", "training.strategy=fsdp")
    assert estimate(shared).weights == pytest.approx(estimate(quickstart()).weights)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["model.d_model=100000"], ["model.d_model=100,000", "model.encoder.layer.self_attention"]),
        (
            ["model.encoder.layer.self_attention={type: multi_head, n_heads: 1024, d_k: 65536}"],
            ["model.encoder.layer.self_attention ", "n_heads=1,024", "d_k=65,536"],
        ),
        (
            ["model.position={type: learned, max_len: 10000000}", "model.d_model=1024"],
            ["model.position ", "max_len=10,000,000"],
        ),
        (
            ["model.encoder.layer.ffn={type: mixture_of_experts, n_experts: 4096}"],
            ["model.encoder.layer.ffn ", "n_experts=4,096", "model.encoder.n_layers=2"],
        ),
        (["training.tokens_per_batch=9000000"], ["training.tokens_per_batch", "the activations of a batch"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_size_and_the_keys_that_make_it_large(
    machine, tmp_path, overrides, named
):
    machine(8 * GB)
    run = quickstart(*overrides)
    with pytest.raises(SpecError, match=r"training takes about .* and there are 8\.0 GB") as caught:
        zoo.train(run, tmp_path / "run")
    assert [name for name in named if name not in str(caught.value)] == []
    assert not (tmp_path / "run").exists()


def test_force_goes_on_and_a_model_that_fits_needs_none(machine):
    machine(2 * 10**6)
    with pytest.raises(SpecError, match="--force"):
        check_memory(quickstart())
    check_memory(quickstart(), force=True)
    machine(8 * GB)
    check_memory(quickstart())
    machine(None)  # where nobody says how much there is
    check_memory(quickstart("model.d_model=100000"))


def llama():
    """A model of seven billion parameters, without a word of how it is trained."""
    return zoo.load("llama2_7b").model_copy(update={"task": None, "training": None})


def test_a_large_model_is_sound_and_its_size_is_said(machine):
    machine(16 * GB)
    run = llama()
    check_count(run, where="llama2_7b")
    assert summary(run) == "at least 108 GB to train, more than the 16 GB there are here"
    assert summary(quickstart()).endswith(" MB to train")


@pytest.mark.parametrize(
    ("there_is", "takes", "has"),
    [
        (107_600_000_000, "107.8 GB", "107.6 GB"),
        (107_810_000_000, "107.815 GB", "107.810 GB"),
        (107_814_649_855, "107.81464986 GB", "107.81464985 GB"),
    ],
)
def test_what_training_takes_and_what_there_is_are_never_the_same_number(machine, there_is, takes, has):
    machine(there_is)
    run = llama()
    assert estimate(run).total == 107_814_649_856
    assert summary(run) == f"at least {takes} to train, more than the {has} there are here"
    with pytest.raises(SpecError, match=f"takes about {takes} of memory, and there are {has}: "):
        check_memory(run)


def test_more_parameters_than_any_model_has_are_a_mistake():
    with pytest.raises(SpecError, match=r"big\.yaml: model: has 1\d,\d{3},\d{3},\d{3},\d{3} parameters"):
        check_count(quickstart("model.d_model=400000", "model.encoder.n_layers=6"), where="big.yaml")


@pytest.mark.parametrize(
    ("n", "text"), [(123_400, "0.1 MB"), (123_400_000, "123 MB"), (9.94e9, "9.9 GB"), (1.5e15, "1,500 TB")]
)
def test_bytes_are_told_in_a_unit_that_fits(n, text):
    assert in_bytes(n) == text


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_least_of_machine_and_control_groups_is_what_there_is(tmp_path):
    write(tmp_path, {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n"})
    assert free_memory(tmp_path) == 8_192_000_000
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job/step\n",
            "sys/fs/cgroup/job/memory.max": "3000000\n",
            "sys/fs/cgroup/job/memory.current": "1200000\n",
            "sys/fs/cgroup/job/memory.stat": "anon 7\ninactive_file 200000\n",
            "sys/fs/cgroup/job/step/memory.max": "max\n",
        },
    )
    assert free_memory(tmp_path) == 3_000_000 - (1_200_000 - 200_000)


def test_groups_of_version_1_count_too(tmp_path):
    write(
        tmp_path,
        {
            "proc/meminfo": "MemAvailable:    8000000 kB\n",
            "proc/self/cgroup": "3:cpu,cpuacct:/elsewhere\n9:memory:/docker/abc\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000\n",
        },
    )
    assert free_memory(tmp_path) == 4_000_000
