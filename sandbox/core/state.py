"""The one immutable record through which the circle passes: everything that learns or is learned.

Each slot is a tree whose leaves carry one row per seed [S, ...] or one per lane [L, ...]. Which of the two is
declared by `World.per_lane`, never guessed. `put` copies the spine and never a leaf, so keeping an old state is free,
and rolling back is keeping the old reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2b
from typing import cast

import torch
from torch import Tensor

from sandbox.core.error import EditError, did_you_mean, explain
from sandbox.core.tree import Params, Tree, finite_rows, flatten, tree_map

APART = 1 << 32  # between a seed and those that stand in for it where lives are to differ by luck
SLOTS = ("init", "params", "slots", "rule", "meta", "memory", "gate", "task", "fixed", "buffers")


@dataclass(frozen=True)
class State:
    """`init`: weights a lifetime starts from; `params`: live weights; `slots`: the rule's memory; `rule`: phi;
    `meta`: psi of level n under `"n"`; `memory`: what level n remembers of the present life, likewise; `gate`: the
    gates' memories, likewise; `task`: the drawn tasks; `fixed`: what a network holds besides its weights, at
    birth ("frozen" and "buffers"); `buffers`: its buffers in the present life; `seed` [S]; `t`: inner steps lived
    (streams are indexed by it)."""

    init: Params
    params: Params
    slots: Params
    rule: Params
    meta: dict[str, Params]
    gate: dict[str, Params]
    task: Params
    seed: Tensor
    t: int = 0
    memory: dict[str, Params] = field(default_factory=dict[str, Params])
    fixed: dict[str, Params] = field(default_factory=dict[str, Params])
    buffers: Params = field(default_factory=Params)

    def __post_init__(self) -> None:
        names = {field.name for field in fields(self)}
        if names != {*SLOTS, "seed", "t"}:
            raise TypeError(f"State is final; subclass fields found: {names}")

    @property
    def seeds(self) -> int:
        """S."""
        return self.seed.shape[0]


def subtree(state: State, path: str) -> Tree:
    """The leaf or tree at `path`; raises `EditError` where there is none."""
    slot, _, rest = path.partition("/")
    if slot not in SLOTS:
        raise EditError(explain(expected="a path that starts with a slot of the state", got=f"'{path}'",
                                do=did_you_mean(slot, SLOTS)))  # fmt: skip
    node = cast(Tree, getattr(state, slot))
    while rest:
        name, below = _step(node, rest)
        if isinstance(node, Tensor) or name not in node:
            known = () if isinstance(node, Tensor) else tuple(node)
            raise EditError(explain(expected=f"a path inside '{slot}'", got=f"'{path}'", do=did_you_mean(name, known)))
        node, rest = node[name], below
    return node


def _step(node: Tree, rest: str) -> tuple[str, str]:
    """The first name of a path and what is left of it; a name of the tree may hold a slash itself."""
    known = () if isinstance(node, Tensor) else node
    whole = max((name for name in known if f"{rest}/".startswith(f"{name}/")), key=len, default="")
    name = whole or rest.partition("/")[0]
    return name, rest[len(name) + 1 :]


def leaves(state: State, path: str) -> dict[str, Tensor]:
    """Every leaf at or below `path`, under its full path."""
    return flatten(subtree(state, path), path)


def put(state: State, values: Mapping[str, Tree]) -> State:
    """A state with each path replaced; paths must exist, and only the spine is copied."""
    for path, value in values.items():
        subtree(state, path)
        slot, _, rest = path.partition("/")
        old = cast(Tree, getattr(state, slot))
        state = replace(state, **{slot: _put(old, rest, value)})
    return state


def _put(node: Tree, rest: str, value: Tree) -> Tree:
    if not rest:
        return value
    name, below = _step(node, rest)
    node = cast(Mapping[str, Tree], node)
    return {**node, name: _put(node[name], below, value)}


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """`function` applied to every leaf of every slot."""
    return replace(state, **{slot: tree_map(function, getattr(state, slot)) for slot in SLOTS})


def detach(state: State) -> State:
    """The state off the tape."""
    return map_state(Tensor.detach, state)


def finite_seeds(state: State) -> Tensor:
    """[S] bool: seeds all of whose leaves are finite; what a network holds besides its weights may be infinite, such as
    a mask."""
    good = torch.ones(state.seeds, dtype=torch.bool)
    for slot in (slot for slot in SLOTS if slot not in ("fixed", "buffers")):
        good &= finite_rows(getattr(state, slot), state.seeds)
    return good


def choose_seeds(mask: Tensor, yes: State, no: State, *, woven: bool = False) -> State:
    """Each seed's rows from `yes` where `mask` [S] holds, else from `no`; t and seeds are those of `yes`. By reference
    where all agree, unless `woven`: then every leaf stays on the tape of both."""
    if bool(mask.all()) and not woven:
        return yes
    if not bool(mask.any()) and not woven:
        return replace(no, t=yes.t)

    def pick(a: Tensor, b: Tensor) -> Tensor:
        if a is b:
            return a
        rows = mask.repeat_interleave(a.shape[0] // mask.shape[0]).to(a.device)
        return torch.where(rows.reshape(-1, *[1] * (a.dim() - 1)), a, b)

    return replace(yes, **{slot: tree_map(pick, getattr(yes, slot), getattr(no, slot)) for slot in SLOTS})


def join(*states: State) -> State:
    """The seeds of all `states`, of one structure and one t, side by side."""

    def pile(*leaves: Tensor) -> Tensor:
        return torch.cat(leaves)

    first, seed = states[0], torch.cat([state.seed for state in states])
    slots = {slot: tree_map(pile, *(getattr(state, slot) for state in states)) for slot in SLOTS}
    return replace(first, seed=seed, **slots)


def repeat_seeds(state: State, times: int) -> State:
    """Each seed `times` times in a row: seed s stands in rows s · times, s · times + 1, …"""

    def again(leaf: Tensor) -> Tensor:
        rows = leaf.reshape(state.seeds, leaf.shape[0] // state.seeds, *leaf.shape[1:])
        return torch.repeat_interleave(rows, times, dim=0).flatten(0, 1)

    return replace(map_state(again, state), seed=state.seed.repeat_interleave(times))


def apart(state: State, places: Tensor) -> State:
    """The state on the streams of other seeds, others for each place [S]; place 0 keeps its own."""
    return replace(state, seed=state.seed + places * APART)


def below(state: State, n: int) -> State:
    """The state without what levels `n` and above know, which a horizon of level `n` doesn't read: candidates of a
    level with a large psi, an archive say, need no copy of it each."""

    def kept(known: dict[str, Params]) -> dict[str, Params]:
        return {name: tree for name, tree in known.items() if int(name.partition(".")[0]) < n}

    return replace(state, meta=kept(state.meta), memory=kept(state.memory), gate=kept(state.gate))


def digest(state: State) -> list[str]:
    """One fingerprint a seed [S]: path, dtype, shape and bytes of every leaf's rows of that seed."""
    hashes = [blake2b(f"{int(seed)}@{state.t}".encode(), digest_size=8) for seed in state.seed]
    for slot in SLOTS:
        for path, leaf in leaves(state, slot).items():
            held = leaf.float() if leaf.dtype == torch.bfloat16 else leaf  # which NumPy doesn't know
            rows = held.detach().cpu().contiguous().reshape(state.seeds, leaf.numel() // state.seeds).numpy()
            head = f"|{path}|{leaf.dtype}|{tuple(leaf.shape[1:])}|".encode()
            for row, fingerprint in zip(rows, hashes, strict=True):
                fingerprint.update(head)
                fingerprint.update(row.tobytes())
    return [fingerprint.hexdigest() for fingerprint in hashes]
