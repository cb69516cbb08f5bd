"""A multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """inputs → hidden … → outputs; `inputs` is a number of features, or the shape of an example, which is read as one
    row. Weights are N(0, gain / fan-in), gain 1 ("fan_in") or 2 ("he": He et al. 2015, eq. 10), and biases start at 0;
    or both are as torch.nn.Linear begins them, uniform within ±1 / √fan-in ("torch"). `last` is what the outputs go
    through: nothing ("linear"), or a tanh."""

    def __init__(
        self,
        inputs: int | tuple[int, ...],
        outputs: int,
        hidden: tuple[int, ...] = (16,),
        activation: Literal["tanh", "relu"] = "tanh",
        initial: Literal["fan_in", "he", "torch"] = "fan_in",
        last: Literal["linear", "tanh"] = "linear",
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__()
        self.shaped = not isinstance(inputs, int)
        features = inputs if isinstance(inputs, int) else prod(inputs)
        sizes = pairwise((features, *hidden, outputs))
        layers = [nn.Linear(fan_in, fan_out, dtype=getattr(torch, dtype)) for fan_in, fan_out in sizes]
        self.layers = nn.ModuleList(layers)
        self.activation = torch.tanh if activation == "tanh" else torch.relu
        self.bounded = last == "tanh"
        for layer in layers if initial != "torch" else ():
            gain = 1.0 if initial == "fan_in" else 2.0
            nn.init.normal_(layer.weight, std=(gain / layer.in_features) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.shaped:
            x = x.flatten(1)
        for layer in [*self.layers][:-1]:  # a slice is a new module, which `higher` can't patch
            x = self.activation(layer(x))
        x = self.layers[-1](x)
        return torch.tanh(x) if self.bounded else x
