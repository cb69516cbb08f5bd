"""Where an intermediate optimiser does exist: one layer of linear self-attention is one step of gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sandbox.core.exhibit import Measured
from sandbox.measure.integrability import integrability


@dataclass(frozen=True)
class Attention:
    """A layer of linear self-attention over tokens (x, y - w · x) of `examples` examples, with the weights of von
    Oswald et al. (2022): keys and queries read x, values read what is left of y. What it adds to the answer for a query
    x is then x · (w' - w), with w' after one step of gradient descent on the squared error at rate `rate`. `skew` adds
    a rotation to keys, which no gradient has.

    Arm `layer` reads `error`, the largest difference of the two over queries, and `iog`, the intermediate-optimiser gap
    of the step w → w' that the layer makes.
    """

    examples: int = 20
    dimensions: int = 4
    rate: float = 0.1
    skew: float = 0.0

    def measure(self, seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        x, y, w = (torch.from_numpy(rng.standard_normal(shape)) for shape in (
            (self.examples, self.dimensions), self.examples, self.dimensions))  # fmt: skip
        turn = torch.from_numpy(rng.standard_normal((self.dimensions, self.dimensions)))
        keys = torch.eye(self.dimensions, dtype=x.dtype) + self.skew * (turn - turn.T)
        queries = torch.eye(self.dimensions, dtype=x.dtype)

        def layer(weights: Tensor) -> Tensor:
            """w' from what the layer adds to the answers for a basis of queries."""
            values = y - x @ weights
            scores = queries @ (x @ keys).T  # [queries, examples]: no softmax
            return weights + self.rate / self.examples * scores @ values

        loss = lambda weights: (x @ weights - y).square().mean() / 2  # noqa: E731
        descended = w - self.rate * torch.func.grad(loss)(w)
        jacobian = torch.func.jacrev(layer)(w).numpy()
        return {"layer": {"error": float((layer(w) - descended).abs().max()), "iog": integrability(jacobian).gap}}
