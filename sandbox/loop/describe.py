"""What happened in a reflective step, as the record of it."""

from __future__ import annotations

from hashlib import blake2b

from torch import Tensor

from sandbox.core.record import Change, Record, Standing, Verdict
from sandbox.core.state import digest, leaves
from sandbox.loop.judge import Judgement
from sandbox.loop.serve import Asked

PAYLOAD = 1024  # bytes a seed: larger values are known by their digest, and kept at checkpoints
LAST = 5  # inner steps over which the own loss is averaged


def describe(
    step: int, level: int, standing: Standing, own: Tensor, asked: Asked, judgement: Judgement | None
) -> Record:
    """The record, without readings; `judgement` is None at the start."""
    state = standing.state
    seeds, incumbent = state.seeds, judgement.state if judgement else state
    return Record(
        step=step,
        level=level,
        t=state.t,
        seeds=state.seed.tolist(),
        verdict=judgement.verdict if judgement else [Verdict.NO_EDIT] * seeds,
        why=judgement.why if judgement else [""] * seeds,
        anchor=judgement.anchor if judgement else [""] * seeds,
        own=own[-LAST:].mean(dim=0).reshape(seeds, -1).double().mean(dim=1),
        edit={path: _change(value, leaves(incumbent, path)[path], seeds) for path, value in asked.edit.set.items()},
        note=asked.edit.note,
        digest=digest(state),
        readings={},
        standing=standing,
    )


def _change(value: Tensor, old: Tensor, seeds: int) -> Change:
    rows = value.detach().reshape(seeds, -1)
    size = (rows - old.detach().reshape(seeds, -1)).double().norm(dim=1)
    if rows[0].numel() * rows.element_size() <= PAYLOAD:
        return Change(size, value.detach().reshape(seeds, *_one(value, seeds)), ())
    return Change(size, None, fingerprints(rows))


def fingerprints(rows: Tensor) -> tuple[str, ...]:
    """One a row."""
    return tuple(blake2b(row.contiguous().cpu().numpy().tobytes(), digest_size=8).hexdigest() for row in rows)


def _one(value: Tensor, seeds: int) -> tuple[int, ...]:
    """The shape of a seed's share: a leaf's own, or [N, ...] where it has a row per lane."""
    lanes = value.shape[0] // seeds
    return (lanes, *value.shape[1:]) if lanes > 1 else tuple(value.shape[1:])
