"""What happened in a reflective step, as the record of it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

from torch import Tensor

from sandbox.core.record import Change, Record
from sandbox.core.state import State, digest, leaves, put
from sandbox.loop.formula import RULE, texts
from sandbox.loop.turn import Turn

PAYLOAD = 1024  # bytes a seed: larger values are known by their digest, and kept at checkpoints
LAST = 5  # inner steps over which the own loss is averaged
DIGEST_EVERY = 10  # steps of a level between two fingerprints of the state


def due(step: int, steps: int, every: int) -> bool:
    """Whether something that happens each `every` steps, and at both ends, happens at this `step` of `steps`."""
    return step % every == 0 or step == steps


def describe(turn: Turn) -> Record:
    """The record, without readings; its state is fingerprinted each `DIGEST_EVERY` steps."""
    state, incumbent = turn.state, turn.incumbent or turn.state
    return Record(
        step=turn.step,
        level=turn.n,
        t=state.t,
        seeds=state.seed.tolist(),
        verdict=list(turn.verdict),
        why=list(turn.why),
        anchor=list(turn.anchor),
        own=turn.own[-LAST:].mean(dim=0).reshape(state.seeds, -1).double().mean(dim=1).detach().cpu(),
        edit={
            path: _change(value, leaves(incumbent, path)[path], state.seeds) for path, value in turn.edit.set.items()
        },
        note=turn.edit.note,
        digest=digest(state) if turn.step % DIGEST_EVERY == 0 else [],
        readings={},
        text=_texts(turn, incumbent),
        tried=[list(turn.tried.get(s, ())) for s in range(state.seeds)] if turn.tried else [],
        standing=turn.standing,
    )


def _texts(turn: Turn, incumbent: State) -> dict[str, list[str]]:
    """What was asked for in words, where that is not what stood there; at the start, all that there is."""
    rule = turn.loop.world.rule
    if not turn.step:
        return texts(rule, incumbent)
    if not any(path.startswith(RULE) for path in turn.edit.set):
        return {}
    stood = texts(rule, incumbent)
    return {path: said for path, said in texts(rule, put(incumbent, turn.edit.set)).items() if said != stood.get(path)}


def fingerprinted(record: Record) -> Record:
    """The record with a fingerprint of its state for each seed."""
    return record if record.digest else replace(record, digest=digest(record.state))


def _change(value: Tensor, old: Tensor, seeds: int) -> Change:
    rows = value.detach().reshape(seeds, -1)
    size = (rows - old.detach().reshape(seeds, -1)).double().norm(dim=1).cpu()
    if rows[0].numel() * rows.element_size() <= PAYLOAD:
        return Change(size, value.detach().reshape(seeds, *_one(value, seeds)).cpu(), ())
    return Change(size, None, _fingerprints(rows.cpu()))


def _fingerprints(rows: Tensor) -> tuple[str, ...]:
    return tuple(blake2b(row.contiguous().numpy().tobytes(), digest_size=8).hexdigest() for row in rows)


def _one(value: Tensor, seeds: int) -> tuple[int, ...]:
    """The shape of a seed's share: a leaf's own, or [N, ...] where it has a row per lane."""
    lanes = value.shape[0] // seeds
    return (lanes, *value.shape[1:]) if lanes > 1 else tuple(value.shape[1:])
