"""A decoder-only transformer over token ids."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sandbox.core.error import ConfigError, explain


class Transformer(nn.Module):
    """Tokens [n, length] (int64 ids below `outputs`) to logits of each next token [n, length, outputs].

    Causal self-attention (Vaswani et al. 2017, eq. 1) and a GELU layer of four times the width in each of `layers`
    blocks, each part normalised before it and added to its input (pre-norm: Xiong et al. 2020, figure 1b); positions
    are learned. `inputs` is the task's shape, (length,), the longest context; `outputs` is its vocabulary. Nothing is
    dropped out. Weights are N(0, 1 / fan-in), those that write to the residual stream divided by √(2 · layers) more
    (Radford et al. 2019, section 2.3), the readout N(0, .02²); embeddings N(0, .5²); biases start at 0. Raises
    `ConfigError` for a task whose examples are no sequences, and for inputs that are no tokens.
    """

    def __init__(
        self,
        inputs: int | tuple[int, ...],
        outputs: int,
        layers: int = 2,
        heads: int = 4,
        width: int = 48,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        super().__init__()
        if isinstance(inputs, int) or len(inputs) != 1:
            raise ConfigError(explain(expected="a task of token sequences, with `inputs` (length,)", got=f"{inputs}",
                                      do="Choose task=text, or another model."))  # fmt: skip
        if min(layers, heads, width) < 1 or width % heads:
            raise ConfigError(explain(expected="positive model.layers and model.heads, which divide model.width",
                                      got=f"{layers} layers, {heads} heads, width {width}",
                                      do="Set model.width to a multiple of model.heads."))  # fmt: skip
        self.length = inputs[0]
        kind = getattr(torch, dtype)
        self.token = nn.Embedding(outputs, width, dtype=kind)
        self.position = nn.Parameter(torch.empty(self.length, width, dtype=kind))
        self.blocks = nn.ModuleList([Block(width, heads, (2 * layers) ** -0.5, kind) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, dtype=kind)
        self.readout = nn.Linear(width, outputs, dtype=kind)
        nn.init.normal_(self.token.weight, std=0.5)
        nn.init.normal_(self.position, std=0.5)
        nn.init.normal_(self.readout.weight, std=0.02)
        nn.init.zeros_(self.readout.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point() or x.dim() != 2 or x.shape[1] > self.length:
            raise ConfigError(explain(expected=f"token ids [n, up to {self.length}], whole numbers",
                                      got=f"{x.dtype} {list(x.shape)}",
                                      do="It reads tokens: choose task=text, or another model."))  # fmt: skip
        h = self.token(x) + self.position[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return self.readout(self.norm(h))


class Block(nn.Module):
    """h [n, length, width] plus what attention makes of it, plus what a layer of four times the width makes of that."""

    def __init__(self, width: int, heads: int, shrink: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_layer = (nn.LayerNorm(width, dtype=dtype) for _ in range(2))
        self.query_key_value = _linear(width, 3 * width, 1.0, dtype)
        self.mix = _linear(width, width, shrink, dtype)
        self.widen = _linear(width, 4 * width, 1.0, dtype)
        self.narrow = _linear(4 * width, width, shrink, dtype)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.mix(self.attend(self.before_attention(h)))
        return h + self.narrow(nn.functional.gelu(self.widen(self.before_layer(h))))

    def attend(self, h: Tensor) -> Tensor:
        """Each place takes, head by head, a mean over the places up to its own, by how well their keys answer it."""
        n, length, width = h.shape
        apart = self.query_key_value(h).reshape(n, length, 3, self.heads, width // self.heads)
        query, key, value = apart.permute(2, 0, 3, 1, 4).unbind(0)  # each [n, heads, length, width / heads]
        later = torch.ones(length, length, dtype=torch.bool, device=h.device).triu(1)
        scores = (query @ key.mT * key.shape[-1] ** -0.5).masked_fill(later, float("-inf"))
        return (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(n, length, width)


def _linear(fan_in: int, fan_out: int, shrink: float, dtype: torch.dtype) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out, dtype=dtype)
    nn.init.normal_(layer.weight, std=shrink * fan_in**-0.5)
    nn.init.zeros_(layer.bias)
    return layer
