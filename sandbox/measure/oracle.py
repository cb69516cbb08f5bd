"""Strings from human to process to agent whose figures are known exactly: what to try an instrument on first.

The human wants h. The process aims at p, pulled towards h and, as a share λ of its pull, towards the agent; the agent
aims at a, and learns from the process with a systematic error b. A state is z = (p, a) [2d], its first d coordinates
outer, and a step maps such tensors (or batches [..., 2d]) differentiably, so that it can be handed to any instrument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sandbox.measure.array import Array, array
from sandbox.measure.error import wrong


class Reflective(Protocol):
    """A step whose outer edit has a part that reads the agent, which can be replaced."""

    @property
    def human(self) -> Array:
        """h [d]."""
        ...

    def pull(self, state: Tensor) -> Tensor:
        """[..., d]: the part of the outer edit that reads the agent."""
        ...

    def step(self, state: Tensor, *, pull: Tensor | None = None) -> Tensor:
        """[..., 2d]: the next state, with another `pull` in place of its own where one is given."""
        ...


@dataclass(frozen=True, eq=False)
class LinearQuadraticString:
    """p' = p + e_p [(1 - λ)(h - p) + λ (a - p)] and a' = a + e_a (p + b - a).

    `human` h and `bias` b [d]; `outer_rate` e_p and `inner_rate` e_a > 0; `reflectivity` λ in [0, 1]: at 0 the process
    listens to the human alone, at 1 to the agent alone. Raises for anything else.
    """

    human: Array
    bias: Array
    outer_rate: float
    inner_rate: float
    reflectivity: float

    def __post_init__(self) -> None:
        _check(self)

    def pull(self, state: Tensor) -> Tensor:
        """[..., d]: e_p λ (a - p)."""
        p, a = state.chunk(2, dim=-1)
        return self.outer_rate * self.reflectivity * (a - p)

    def step(self, state: Tensor, *, pull: Tensor | None = None) -> Tensor:
        """[..., 2d]: the next state."""
        p, a = state.chunk(2, dim=-1)
        h, b = (torch.from_numpy(x).to(state) for x in (self.human, self.bias))
        pull = self.pull(state) if pull is None else pull
        to_human = self.outer_rate * (1 - self.reflectivity) * (h - p)
        return torch.cat([p + to_human + pull, a + self.inner_rate * (p + b - a)], dim=-1)

    @property
    def jacobian(self) -> Array:
        """[2d, 2d]: J = [[1 - e_p, λ e_p], [e_a, 1 - e_a]] in each dimension, at every state."""
        return np.asarray(np.kron(self._pair, np.eye(len(self.human))), np.float64)

    @property
    def eigenvalues(self) -> tuple[float, float]:
        """The slow and the fast one, real, each d-fold: 1 - (e_p + e_a ∓ √((e_p - e_a)² + 4 λ e_p e_a)) / 2."""
        centre, half = (self.outer_rate + self.inner_rate) / 2, sqrt(self._gap + self._coupled) / 2
        return 1 - centre + half, 1 - centre - half

    @property
    def spectral_radius(self) -> float:
        """ρ(J): the factor by which the distance to rest shrinks at each step, once the fast mode is gone."""
        return max(map(abs, self.eigenvalues))

    @property
    def coupling(self) -> float:
        """M = λ / (1 + λ), in [0, 1/2]: it sees neither rate."""
        return self.reflectivity / (1 + self.reflectivity)

    @property
    def merge_index(self) -> float:
        """MI = 4 λ e_p e_a / ((e_p - e_a)² + 4 λ e_p e_a), in [0, 1]; 1 for equal rates and any λ > 0, 0 for λ = 0."""
        return self._coupled / (self._gap + self._coupled) if self._coupled > 0 else 0.0

    @property
    def rest(self) -> Array:
        """[2d]: the fixed point, p* - h = λ/(1 - λ) b and a* - h = b/(1 - λ): reflection amplifies the inner bias.

        Approached where ρ(J) < 1. Raises at λ = 1, where there is none, or (b = 0) a line of them.
        """
        _refuse_closed(self.reflectivity)
        agent = self.bias / (1 - self.reflectivity)
        return np.concatenate([self.human + self.reflectivity * agent, self.human + agent])

    @property
    def drift(self) -> Array:
        """[d]: what p and a go on moving by at each step, 0 below λ = 1. At 1 it is e_p e_a / (e_p + e_a) b, whatever h
        is: their rate-weighted mean (`meeting`) moves so from the start on, and where e_p + e_a < 2 so do they in the
        end, the agent ahead by e_a / (e_p + e_a) b."""
        rate = self.outer_rate * self.inner_rate / (self.outer_rate + self.inner_rate)
        return self.bias * (rate if self.reflectivity == 1 else 0.0)

    def meeting(self, start: Any) -> Array:
        """[d]: where p and a merge at λ = 1 without bias, (e_a p + e_p a) / (e_p + e_a) of the start [2d].

        h has no say in it. Raises for another λ, for a bias, and where e_p + e_a ≥ 2, so that they never meet.
        """
        p, a = np.split(array(start, "a state", [2 * len(self.human)]), 2)
        total = self.outer_rate + self.inner_rate
        if self.reflectivity != 1 or self.bias.any() or total >= 2:
            raise wrong(expected="reflectivity 1, no bias, and rates whose sum is below 2",
                        got=f"{self.reflectivity}, |b| = {np.linalg.norm(self.bias):.3g}, {total}",
                        do="Elsewhere see `rest`, `drift` and `spectral_radius`.")  # fmt: skip
        return (self.inner_rate * p + self.outer_rate * a) / total

    def loop_cut(self, start: Any, steps: int) -> Array:
        """[steps]: LCD_k from the start [2d]: |Δp - Δp_cut| / (|Δp| + |Δp_cut|), where the cut process reads the agent
        as it was at the start; 0 where neither moves. Δp_k = (Σ_{i<k} J^i u)_p for the first update u, and
        Δp_cut = (1 - (1 - e_p)^k) / e_p · u_p. Raises for fewer than one step."""
        state = array(start, "a state", [2 * len(self.human)])
        if steps < 1:
            raise wrong(expected="at least one step", got=f"{steps}", do="LCD_k is defined from k = 1.")
        update = self.step(torch.from_numpy(state)).numpy().reshape(2, -1) - state.reshape(2, -1)
        both = np.block([[self._pair, np.eye(2)], [np.zeros((2, 2)), np.eye(2)]])  # its powers hold Σ J^i
        found = np.zeros(steps)
        for k in range(1, steps + 1):
            intact = np.linalg.matrix_power(both, k)[0, 2:] @ update
            cut = (1 - (1 - self.outer_rate) ** k) / self.outer_rate * update[0]
            length = np.linalg.norm(intact) + np.linalg.norm(cut)
            found[k - 1] = np.linalg.norm(intact - cut) / length if length > 0 else 0
        return found

    @property
    def _pair(self) -> Array:
        e_p, e_a, lam = self.outer_rate, self.inner_rate, self.reflectivity
        return np.array([[1 - e_p, lam * e_p], [e_a, 1 - e_a]])

    @property
    def _gap(self) -> float:
        return (self.outer_rate - self.inner_rate) ** 2

    @property
    def _coupled(self) -> float:
        return 4 * self.reflectivity * self.outer_rate * self.inner_rate


@dataclass(frozen=True, eq=False)
class RegressionString:
    """The same string learned from data: p and a are linear models in R^d, and each step is one of gradient descent.

    The process fits the human's labels on `human_inputs` [n_h, d] and, to the share λ, the agent's answers on
    `agent_inputs` [n_a, d]; the agent fits there what the process labels, off by b:
    p' = p + e_p [(1 - λ) C_h (h - p) + λ C_a (a - p)] and a' = a + e_a C_a (p + b - a), with C = XᵀX / n. Fields
    otherwise as in `LinearQuadraticString`, which it is where both C are the identity. Raises for other shapes.
    """

    human_inputs: Array
    agent_inputs: Array
    human: Array
    bias: Array
    outer_rate: float
    inner_rate: float
    reflectivity: float

    def __post_init__(self) -> None:
        _check(self)
        for name in ("human_inputs", "agent_inputs"):
            object.__setattr__(self, name, array(getattr(self, name), name, [None, len(self.human)]))
            if not len(getattr(self, name)):
                raise wrong(expected=f"{name} [n, d], n ≥ 1", got="none", do="Draw some.")

    def pull(self, state: Tensor) -> Tensor:
        """[..., d]: e_p λ C_a (a - p)."""
        p, a = state.chunk(2, dim=-1)
        c_a = torch.from_numpy(_second_moment(self.agent_inputs)).to(state)
        return self.outer_rate * self.reflectivity * (a - p) @ c_a

    def step(self, state: Tensor, *, pull: Tensor | None = None) -> Tensor:
        """[..., 2d]: the next state."""
        p, a = state.chunk(2, dim=-1)
        constants = self.human, self.bias, _second_moment(self.human_inputs), _second_moment(self.agent_inputs)
        h, b, c_h, c_a = (torch.from_numpy(x).to(state) for x in constants)
        pull = self.pull(state) if pull is None else pull
        to_human = self.outer_rate * (1 - self.reflectivity) * (h - p) @ c_h
        return torch.cat([p + to_human + pull, a + self.inner_rate * (p + b - a) @ c_a], dim=-1)

    @property
    def coupling(self) -> float:
        """M = λ|C_a| / (λ|C_a| + |(1 - λ) C_h + λ C_a|), Frobenius, in [0, 1]; λ / (1 + λ) at λ = 0, at λ = 1, and
        elsewhere as the two sets of inputs come to agree."""
        lam, c_h, c_a = self.reflectivity, _second_moment(self.human_inputs), _second_moment(self.agent_inputs)
        cross, straight = lam * np.linalg.norm(c_a), np.linalg.norm((1 - lam) * c_h + lam * c_a)
        return float(cross / (cross + straight)) if cross > 0 else 0.0

    @property
    def rest(self) -> Array:
        """[2d]: the fixed point, p* - h = λ/(1 - λ) C_h⁻¹ C_a b and a* - p* = b.

        Raises at λ = 1, and where inputs don't span R^d, so that there is more than one.
        """
        _refuse_closed(self.reflectivity)
        c_h, c_a = _second_moment(self.human_inputs), _second_moment(self.agent_inputs)
        if min(np.linalg.matrix_rank(c_h), np.linalg.matrix_rank(c_a)) < len(self.human):
            raise wrong(expected="inputs that span R^d on either side", got="fewer directions",
                        do="Draw at least d inputs.")  # fmt: skip
        odds = self.reflectivity / (1 - self.reflectivity)
        process = self.human + odds * np.linalg.solve(c_h, c_a @ self.bias)
        return np.concatenate([process, process + self.bias])


def run(step: Callable[[Tensor], Tensor], start: Tensor, *, steps: int) -> Tensor:
    """[steps + 1, ...]: the start and what each step made of it."""
    course = [start]
    for _ in range(steps):
        course.append(step(course[-1]))
    return torch.stack(course)


def matched_noise(string: Reflective, at: Tensor, *, seed: int) -> Callable[[Tensor], Tensor]:
    """The control of reflection: a step in which `string.pull`, the part of the outer edit that reads the agent, is a
    constant vector as long as that pull is `at` a state [2d], in a direction drawn uniformly from `seed`.

    The outer is then moved as far as in the reflective step, and nothing of the inner reaches it: K_oi = 0, so that M
    and MI are 0 at every λ. To control a whole run, take `at` and a fresh seed from each of its steps in turn.
    """
    pull = string.pull(at)
    direction = torch.from_numpy(np.random.default_rng(seed).standard_normal(pull.shape)).to(pull)
    constant = (pull.norm() / direction.norm() * direction).detach()
    return lambda state: string.step(state, pull=constant.expand_as(state.chunk(2, dim=-1)[0]))


def lengths(string: Reflective, states: Any) -> Array:
    """[3, ...]: |p - h|, |a - p| and |a - h| of states [..., 2d]."""
    p, a = np.split(array(states, "states"), 2, axis=-1)
    return np.stack([np.linalg.norm(x, axis=-1) for x in (p - string.human, a - p, a - string.human)])


def _check(string: LinearQuadraticString | RegressionString) -> None:
    """Brings the fields into their form, or says which can't be."""
    object.__setattr__(string, "human", array(string.human, "the human's target", [None]))
    object.__setattr__(string, "bias", array(string.bias, "the bias", [len(string.human)]))
    if not len(string.human):
        raise wrong(expected="a human target [d], d ≥ 1", got="none", do="One number is enough.")
    rates = string.outer_rate, string.inner_rate
    if not all(0 < rate < np.inf for rate in rates):
        raise wrong(expected="rates > 0", got=f"{rates}", do="A frozen outer is better told by what it is: M = 0.")
    if not 0 <= string.reflectivity <= 1:
        raise wrong(expected="a reflectivity in [0, 1]", got=f"{string.reflectivity}", do="It is a share.")


def _refuse_closed(reflectivity: float) -> None:
    if reflectivity == 1:
        raise wrong(expected="a reflectivity below 1", got="1",
                    do="At 1 nothing holds them to the human: see `meeting` and `drift`.")  # fmt: skip


def _second_moment(inputs: Array) -> Array:
    return inputs.T @ inputs / len(inputs)
