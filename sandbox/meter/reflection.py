"""The reflective step as a map of a flat state [S, n], outer coordinates first: what merge and separability read.

Who is outer and who inner is declared by paths of the state. The step is run once on the tape for all meters and all
partitions, with every leaf that a partition may name as an input; each then asks for the derivatives that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.core.protocols import Bounded
from sandbox.core.state import State, detach, leaves, map_state, put
from sandbox.core.watch import Probe
from sandbox.measure.coupling import near_bound

OUTER = ("rule", "slots", "meta", "memory")  # all that decides how an agent learns, and what edits that
INNER = ("params",)
NAMED = ("init", *INNER, *OUTER)  # slots that a step changes or lives by; tasks are given, and a probe judges nothing


@dataclass(frozen=True)
class Reflection:
    """F at the state of a probe. `leaves` are the outer ones, then the inner ones, each [S, ...]; `outer` counts the
    coordinates of the first side. The step runs on the state's device; flat states and probes are on the CPU, where the
    instruments are."""

    probe: Probe
    state: State
    leaves: Mapping[str, Tensor]
    outer: int

    @property
    def sizes(self) -> list[int]:
        return [leaf[0].numel() for leaf in self.leaves.values()]

    @property
    def n(self) -> int:
        return sum(self.sizes)

    @property
    def flat(self) -> Tensor:
        """[S, n]."""
        return _flat(self.leaves).cpu()

    def step(self, flat: Tensor) -> Tensor:
        """[..., S, n]: F, off the tape; states in a batch are lived side by side."""
        times = flat.shape[:-2].numel()
        pieces = zip(flat.flatten(0, -2).split(self.sizes, dim=1), self.leaves.items(), strict=True)
        given = {path: piece.reshape(-1, *leaf.shape[1:]).to(leaf) for piece, (path, leaf) in pieces}
        return _flat(self._after(_repeated(self.state, times), given)).detach().cpu().reshape(flat.shape)

    def after(self, given: Mapping[str, Tensor]) -> Tensor:
        """[S, n]: F with these leaves in place of its own, on the tape."""
        return _flat(self._after(self.state, given))

    def vjp(self, probes: Tensor) -> Tensor:
        """[P, S, n]: uᵀJ of probes u [P, S, n], through the one taped step that all meters share."""
        taken = taped(self.probe)
        inputs, outputs = [taken.given[path] for path in self.leaves], [taken.after[path] for path in self.leaves]
        rows = [piece.reshape(len(probes), *leaf.shape).to(leaf)
                for piece, leaf in zip(probes.split(self.sizes, dim=2), outputs, strict=True)]  # fmt: skip
        live = [i for i, leaf in enumerate(outputs) if leaf.requires_grad]
        found = torch.autograd.grad([outputs[i] for i in live], inputs, [rows[i] for i in live],
                                    retain_graph=True, is_grads_batched=True, allow_unused=True)  # fmt: skip
        whole = [leaf.new_zeros(len(probes), *leaf.shape) if grad is None else grad
                 for grad, leaf in zip(found, inputs, strict=True)]  # fmt: skip
        return torch.cat([piece.reshape(len(probes), self.state.seeds, -1) for piece in whole], dim=2).cpu()

    def _after(self, state: State, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        after = self.probe.reflect(put(state, given), tuple(self.leaves))
        return {path: leaves(after, path)[path] for path in self.leaves}


@dataclass(frozen=True)
class Taped:
    """One run of F on the tape: every leaf that a partition may name, and the same leaves after the step."""

    given: Mapping[str, Tensor]
    after: Mapping[str, Tensor]


def taped(probe: Probe) -> Taped:
    """F at the state of the probe, run once a probe and kept on the tape as long as that lives."""

    def run() -> Taped:
        state = detach(probe.state)
        given = {path: leaf.clone().requires_grad_() for path, leaf in _named(state, NAMED).items()}
        after = probe.reflect(put(state, given), tuple(given))
        return Taped(given, {path: leaves(after, path)[path] for path in given})

    return probe.once("reflection/taped", run)


def reflection(probe: Probe, outer: tuple[str, ...] = OUTER, inner: tuple[str, ...] = INNER) -> Reflection | None:
    """The step between the leaves at or below `outer` and those at or below `inner`.

    Left out are leaves without a derivative (whole numbers, truth values), and what levels above the first remember,
    for F is a step of the first. A slot that the state lacks or that is empty counts for nothing. None where a side is
    empty, where a leaf has not one row a seed, as with several tasks a seed, and where the editor's own hypergradients
    leave something out (first-order, truncated). Raises `ConfigError` for a path that
    no partition can name or that both sides do, and `EditError` for one below a slot that is not there.
    """
    adjoint = probe.level.needs.adjoint
    if probe.level.needs.grads and (adjoint.first_order or adjoint.truncate):
        return None  # on a whole tape it would be another editor
    state = detach(probe.state)
    sides = _named(state, outer), _named(state, inner)
    both = sorted(sides[0].keys() & sides[1].keys())
    if both:
        raise ConfigError(explain(expected="leaves that are either outer or inner", got=f"{both} on both sides",
                                  do="Name narrower paths in the meter's `outer` or `inner`."))  # fmt: skip
    found = sides[0] | sides[1]
    if not all(sides) or any(leaf.shape[0] != state.seeds for leaf in found.values()):
        return None
    return Reflection(probe, state, found, sum(leaf[0].numel() for leaf in sides[0].values()))


def crowded(probe: Probe) -> Tensor | None:
    """[S]: the share of the rule's bounded numbers that stand near a bound; None where it has none."""
    rule, phi = probe.world.rule, probe.state.rule
    if not isinstance(rule, Bounded) or not phi:
        return None
    places = torch.func.vmap(rule.place)({name: leaf.detach() for name, leaf in phi.items()})
    rows = torch.cat([place.reshape(probe.state.seeds, -1).cpu() for place in places.values()], dim=1)
    return torch.from_numpy(near_bound(rows, 0, 1))


def _named(state: State, paths: tuple[str, ...]) -> dict[str, Tensor]:
    """The floating leaves of level 1 at or below `paths`."""
    found: dict[str, Tensor] = {}
    for path in paths:
        slot = path.partition("/")[0]
        if slot not in NAMED:
            raise ConfigError(explain(expected=f"a partition of what a reflective step changes: {', '.join(NAMED)}",
                                      got=f"'{path}'", do=did_you_mean(slot, NAMED)))  # fmt: skip
        if hasattr(state, slot):
            found |= leaves(state, path)
    return {path: leaf for path, leaf in found.items() if leaf.is_floating_point() and _of_first_level(path)}


def _of_first_level(path: str) -> bool:
    slot, _, rest = path.partition("/")
    return slot not in ("meta", "memory") or rest.partition("/")[0] == "1"


def _flat(found: Mapping[str, Tensor]) -> Tensor:
    """[rows, n]."""
    return torch.cat([leaf.reshape(len(leaf), -1) for leaf in found.values()], dim=1)


def _repeated(state: State, times: int) -> State:
    """The state with all its rows `times` over."""

    def again(leaf: Tensor) -> Tensor:
        return leaf.repeat(times, *[1] * (leaf.dim() - 1))

    return state if times == 1 else replace(map_state(again, state), seed=again(state.seed))
