import math

import torch
from torch import nn

from zoo.components.initialization.normal import NormalInitialization
from zoo.components.initialization.tensor2tensor import Tensor2TensorInitialization


def test_tensor2tensor_draws_matrices_uniformly_and_embeddings_normally():
    torch.manual_seed(0)
    model = nn.ModuleDict({"linear": nn.Linear(300, 200), "embedding": nn.Embedding(1000, 64)})
    Tensor2TensorInitialization()(model)
    bound = math.sqrt(6 / 500)
    weight = model["linear"].weight
    assert 0.99 * bound < weight.abs().max() <= bound
    assert abs(weight.std().item() / (bound / math.sqrt(3)) - 1) < 0.02
    assert model["linear"].bias.eq(0).all()
    assert abs(model["embedding"].weight.std().item() / 64**-0.5 - 1) < 0.02


def test_normal_has_one_deviation():
    torch.manual_seed(0)
    model = nn.ModuleDict({"linear": nn.Linear(300, 200), "embedding": nn.Embedding(1000, 64)})
    NormalInitialization(std=0.05)(model)
    for module in model.values():
        assert abs(module.weight.std().item() / 0.05 - 1) < 0.02
    assert model["linear"].bias.eq(0).all()
