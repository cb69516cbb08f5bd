"""A self-referential learner of what a human wants, which goes on without any process that trains it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sandbox.core.exhibit import Measured
from sandbox.measure.graph import largest_component
from sandbox.measure.integrability import integrability

SIZE = 4  # of what a human wants, a direction
TOKEN = SIZE + 1  # a 1 stands beside x: without it the rewriting would be nearly the same for x and for -x
ROWS = {"key": TOKEN, "query": TOKEN, "rate": 1, "wish": SIZE}


@dataclass(frozen=True)
class FastWeights:
    """A matrix W that rewrites itself (Irie et al. 2022, one rate): at each comparison it reads x, a 1 beside the
    difference of what the human preferred and what not, W x = (key, query, rate, wish), and W becomes
    W + sigmoid(rate) (W tanh(query) - W tanh(key)) tanh(key)ᵀ. All that it wants is in W too: A is the direction of the
    wish rows' answer to a fixed reading vector. Its first W and that vector are trained across humans (`steps` steps of
    Adam on 1 - cos(A, H), averaged over `length` comparisons); then P is taken away, and it hears comparisons of humans
    that it never met. The human prefers by sigmoid(`rationality` H · x).

    Arms: `deployed`; `shuffled`, preferences drawn by chance; `frozen`, W stays; `rule_frozen`, only the wish rows
    change; `untrained`, a first W at random; `descent`, w + η · gradient of an explicit fitted P, the log likelihood of
    the choices. Reads `d_0`, `d_end`: half the chord between H and A before and after `heard` comparisons, mean over
    256 humans; `iog`, the intermediate-optimiser gap, and `lscc`, of one step, mean over eight states and tokens.
    """

    steps: int = 500
    length: int = 20
    heard: int = 40
    rationality: float = 4.0
    batch: int = 64
    rate: float = 0.02
    descent_rate: float = 0.5

    def measure(self, seed: int) -> Measured:
        generator = torch.Generator().manual_seed(seed)
        first = 0.2 * torch.randn(sum(ROWS.values()), TOKEN, generator=generator)
        first[2 * TOKEN, SIZE] -= 2  # the rate begins near sigmoid(-2); from .5, many a training stood still
        reading = torch.randn(SIZE, generator=generator)
        trained = self._trained(first.clone(), reading.clone(), generator)
        humans, tokens = self._heard(256, self.heard, generator)
        sign = torch.randint(0, 2, (*tokens.shape[:2], 1), generator=generator).mul(2).sub(1)
        chance = torch.cat([tokens[..., :SIZE] * sign, tokens[..., SIZE:]], dim=2)
        lived = {"deployed": (*trained, tokens, "all"), "shuffled": (*trained, chance, "all"),
                 "frozen": (*trained, tokens, "none"), "rule_frozen": (*trained, tokens, "wish"),
                 "untrained": (first, reading, tokens, "all")}  # fmt: skip
        found = {arm: self._read(humans, *how) for arm, how in lived.items()}
        found["descent"] = self._descent(humans, tokens[..., :SIZE])
        return found

    def _heard(self, humans: int, comparisons: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Humans [B, d] and what they preferred less what they did not, and a 1 [B, T, d + 1]."""
        wanted = torch.nn.functional.normalize(torch.randn(humans, SIZE, generator=generator), dim=1)
        x = torch.randn(humans, comparisons, SIZE, generator=generator)
        sure = torch.sigmoid(self.rationality * torch.einsum("btd,bd->bt", x, wanted))
        prefers = torch.rand(sure.shape, generator=generator) < sure
        preferred = x * torch.where(prefers, 1.0, -1.0)[..., None]
        return wanted, torch.nn.functional.pad(preferred, (0, 1), value=1.0)

    def _trained(self, first: Tensor, reading: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        for one in (first, reading):
            one.requires_grad_()
        optimizer = torch.optim.Adam([first, reading], self.rate)
        for _ in range(self.steps):
            humans, tokens = self._heard(self.batch, self.length, generator)
            w, loss = first.expand(self.batch, -1, -1), torch.zeros(())
            for x in tokens.unbind(1):
                w = rewritten(w, x)
                loss = loss + 1 - torch.cosine_similarity(wish(w, reading), humans, dim=1).mean()
            optimizer.zero_grad()
            (loss / self.length).backward()
            torch.nn.utils.clip_grad_norm_([first, reading], 1.0)
            optimizer.step()
        return first.detach(), reading.detach()

    def _read(self, humans: Tensor, first: Tensor, reading: Tensor, tokens: Tensor, changes: str) -> dict[str, float]:
        w = first.expand(len(humans), -1, -1)
        kept = torch.ones(len(first), 1) if changes == "none" else torch.zeros(len(first), 1)
        if changes == "wish":
            kept[: -ROWS["wish"]] = 1
        for x in tokens.unbind(1):
            w = kept * w + (1 - kept) * rewritten(w, x)
        looked = [_structure(w[i].double(), tokens[i, -1].double(), kept.double()) for i in range(8)]
        iog, lscc = np.mean(looked, axis=0)
        return {"d_0": _apart(wish(first.expand_as(w), reading), humans), "d_end": _apart(wish(w, reading), humans),
                "iog": float(iog), "lscc": float(lscc)}  # fmt: skip

    def _descent(self, humans: Tensor, tokens: Tensor) -> dict[str, float]:
        def step(w: Tensor, x: Tensor) -> Tensor:
            return w + self.descent_rate * torch.sigmoid(-(w * x).sum(-1, keepdim=True)) * x

        w = torch.zeros_like(humans)
        for x in tokens.unbind(1):
            w = step(w, x)
        gaps = [integrability(torch.func.jacrev(step)(w[i].double(), tokens[i, -1].double()).numpy()).gap
                for i in range(8)]  # fmt: skip
        return {"d_end": _apart(w, humans), "iog": float(np.mean(gaps))}


def rewritten(w: Tensor, x: Tensor) -> Tensor:
    """W [B, rows, d] after it has read tokens x [B, d]."""
    key, query, rate, _ = torch.einsum("...rd,...d->...r", w, x).split(list(ROWS.values()), dim=-1)
    key, query = torch.tanh(key), torch.tanh(query)
    change = torch.einsum("...rd,...d->...r", w, query - key)
    return w + torch.sigmoid(rate)[..., None] * change[..., None] * key[..., None, :]


def wish(w: Tensor, reading: Tensor) -> Tensor:
    """A [B, d]: what W wants."""
    return torch.einsum("...rd,r->...d", w[..., -ROWS["wish"] :, :SIZE], reading)


def _apart(wanted: Tensor, humans: Tensor) -> float:
    unit = torch.nn.functional.normalize(wanted, dim=1)
    return float((unit - humans).norm(dim=1).mean() / 2)


def _structure(w: Tensor, x: Tensor, kept: Tensor) -> tuple[float, float]:
    """IOG and LSCC of one step at W [rows, d]."""
    step = lambda flat: (kept * w + (1 - kept) * rewritten(flat.view_as(w), x)).reshape(-1)  # noqa: E731
    jacobian = torch.func.jacrev(step)(w.reshape(-1)).numpy()
    ends = np.cumsum([0, *ROWS.values()]) * TOKEN
    modules = {name: range(a, b) for name, a, b in zip(ROWS, ends[:-1], ends[1:], strict=True)}
    modules = {name: list(indices) for name, indices in modules.items()}
    return integrability(jacobian).gap, largest_component(jacobian, modules).share
