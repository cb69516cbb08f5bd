"""Vary: a population of candidates, lived side by side as more rows of the seed axis and scored on practice data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, inf

from sandbox.core.contract import shape_of
from sandbox.core.edit import Edit, absolute, apply
from sandbox.core.error import ConfigError, EditError, explain
from sandbox.core.needs import Seen
from sandbox.core.protocols import Varies
from sandbox.core.record import Standing
from sandbox.core.score import Score
from sandbox.core.state import apart, below, choose_seeds, detach, finite_seeds, repeat_seeds
from sandbox.core.tree import by_seed, tree_map
from sandbox.loop.author import call, each_row, handed, refuse
from sandbox.loop.formula import faults
from sandbox.loop.lived import Wanted
from sandbox.loop.turn import Turn


def vary(turn: Turn) -> Turn:
    """The turn with `candidates`, their `scores` and whether they are `alive` in what is seen.

    Each candidate is the state after the horizon just lived with one edit; it lives the next horizon on one stream for
    all, so that candidates differ by their edit alone. One whose life goes non-finite is dead and scores +inf.
    """
    if not turn.needs.population or turn.seen is None:
        return turn
    try:
        candidates = _candidates(turn, turn.seen)
        scores, alive = _scored(turn, candidates)
    except EditError as error:
        return refuse(turn, error)
    return replace(turn, seen=replace(turn.seen, candidates=candidates, scores=scores, alive=alive))


def _candidates(turn: Turn, seen: Seen) -> Mapping[str, Tensor]:
    """{path: [rows, population, ...]} as the author varies them."""
    author = turn.level.meta_learner
    if not isinstance(author, Varies):
        raise ConfigError(explain(expected="a meta-learner with `vary`, since `needs.population` is set",
                                  got=type(author).__name__, do="Give it vary(psi, seen)."))  # fmt: skip
    clones = (handed(turn), tree_map(Tensor.clone, vars(seen)))

    def one(psi: dict[str, Tensor], seen: dict[str, Tensor]) -> dict[str, Tensor]:
        return {absolute(path, turn.n): value for path, value in author.vary(psi, Seen(**seen)).items()}  # type: ignore[arg-type]

    found = tree_map(Tensor.detach, call(turn, "vary", lambda: each_row(turn, one)(*clones), *clones))
    for path, values in found.items():
        if values.dim() < 2 or values.shape[1] != turn.needs.population:
            raise EditError(explain(expected=f"{turn.needs.population} candidates at '{path}'", got=shape_of(values[0]),
                                    do="`vary` returns {path: [population, ...]}."))  # fmt: skip
    return found


def _scored(turn: Turn, candidates: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """P on practice data [rows, population] after a horizon, +inf where dead, and who is alive."""
    loop, count, seeds = turn.loop, turn.needs.population, turn.state.seeds
    lean = turn.state if any(path.startswith("meta/") for path in candidates) else below(turn.state, turn.n)
    crowd = repeat_seeds(detach(lean), count)
    if turn.loop.unpaired:  # on streams that the gate's trials are not on
        crowd = apart(crowd, 2 + torch.arange(count).repeat(seeds))
    edit = Edit({path: _as_rows(values, seeds) for path, values in candidates.items()})
    begun, taken = apply(crowd, edit, allow=turn.level.allow or turn.needs.edits)
    bad = faults(loop.world.rule, begun, edit)
    if bad and turn.level.faults == "stop":
        raise EditError(next(iter(bad.values())))
    taken = taken & torch.tensor([s not in bad for s in range(crowd.seeds)])
    begun = choose_seeds(taken, begun, crowd) if bad else begun
    standing = Standing(begun, begun, torch.zeros(begun.seeds, dtype=torch.bool))
    score, stream = Score(), f"{turn.stream}/{turn.step}/vary/{turn.n}"
    lived = loop.live(turn.n, standing, turn.step + 1, stream, None, "trial", wanted=Wanted((score,), "practice"))
    per_lane = lived.scores[score].double().mean(dim=1)  # [seeds · count · N]
    alive = taken & finite_seeds(lived.standing.state)
    return _by_row(turn, per_lane, alive)


def _as_rows(values: Tensor, seeds: int) -> Tensor:
    """[rows, population, ...] in the order of `repeat_seeds`: seed, candidate, lane."""
    return values.unflatten(0, (seeds, -1)).transpose(1, 2).flatten(0, 2)


def _by_row(turn: Turn, per_lane: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of lanes and life of crowded seeds as [rows, population]."""
    count, tasks = turn.needs.population, turn.loop.world.tasks
    scores = by_seed(per_lane, tasks)  # [seeds · count, N]
    scores = scores if turn.rows > turn.state.seeds else scores.mean(dim=1, keepdim=True)
    rows = scores.unflatten(0, (-1, count)).transpose(1, 2).flatten(0, 1)  # [rows, count]
    living = alive.reshape(-1, count).repeat_interleave(turn.rows // turn.state.seeds, dim=0).to(rows.device)
    living = living & torch.isfinite(rows)
    return torch.where(living, rows, inf), living
