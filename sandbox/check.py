"""The A/A table: how often each gate accepts an edit that changes nothing but luck, beside the level that it states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Literal, cast

import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest
from torch import Tensor

from sandbox.config import build
from sandbox.core.error import LifeError, explain
from sandbox.core.protocols import Gate, Objective, Tempered
from sandbox.core.record import Standing
from sandbox.core.tree import by_seed
from sandbox.experiment import build_loop
from sandbox.loop.reflect import Loop
from sandbox.meta_learner.none import Nothing

SEEDS = 32  # runs at least: five false accepting runs among 32 are needed to tell a level of .05 from a higher one
EDITS = (40, 100)  # asked edits a run
VARIANTS = ({"unit": "example"}, {"score": "calibrated"}, {"spending": "none"})  # shown of a gate with such a field
ABOUT = """Incumbent and candidate are one state that lives its trials on different fresh streams: equal in law, so
every accept is false. (On one stream they would be equal in every bit, and no gate accepts a difference of exactly 0.)
The rule is fixed; between two asked edits the life goes on one horizon. Intervals are exact binomial, 95 %."""

Scores = dict[Objective, Tensor]  # [edits, trials, S, n]


@dataclass(frozen=True)
class Share:
    """`accepts` of `n`, each an edit or a whole run, beside the `level` that the gate states for it, if it does."""

    accepts: int
    n: int
    level: float | None

    @property
    def interval(self) -> tuple[float, float]:
        found = binomtest(self.accepts, self.n).proportion_ci(0.95, method="exact")
        return float(found.low), float(found.high)

    @property
    def holds(self) -> bool:
        return self.level is not None and self.interval[0] <= self.level


def main(config: dict[str, Any]) -> int:
    """Print the table for the configured world; 1 if the configured gate states no level, or exceeds it."""
    loop = build_loop(config | {"above": [], "meter": {}})
    fixed = replace(loop.levels[0], meta_learner=Nothing(), allow=None)
    loop = replace(loop, levels=(fixed,))
    seeds = range(config["seed"], config["seed"] + max(SEEDS, config["seeds"]))
    gates = contenders(config["gate"], tempered=isinstance(loop.world.task, Tempered))
    before, after = null_scores(loop, seeds, max(EDITS), list(gates.values()))
    shares = {name: {edits: count(accepts(gate, before, after)[:edits], gate) for edits in EDITS}
              for name, gate in gates.items()}  # fmt: skip
    named = next(iter(gates))
    console = Console()
    console.print(table(shares, named, len(seeds)))
    console.print(ABOUT.replace("\n", " "))
    return 0 if all(verdict(*pair) == "holds" for pair in shares[named].values()) else 1


def contenders(node: Mapping[str, Any], *, tempered: bool) -> dict[str, Gate]:
    """The configured gate first, then every other member of conf/gate and its variants, under the fields that differ
    from the member's file. Only a `tempered` task has calibrated scores to judge by."""
    members = {path.name.removesuffix(".yaml"): cast(dict[str, Any], OmegaConf.to_container(OmegaConf.load(str(path))))
               for path in sorted(files("sandbox.conf").joinpath("gate").iterdir(), key=lambda path: path.name)
               if path.name.endswith(".yaml")}  # fmt: skip
    nodes = [node, *(member | variant for member in members.values() for variant in ({}, *VARIANTS)
                     if set(variant) <= set(member) and (tempered or variant.get("score") != "calibrated"))]  # fmt: skip
    gates: dict[str, Gate] = {}
    for chosen in nodes:
        stem = next((name for name, member in members.items() if member["_target_"] == chosen["_target_"]), None)
        usual = members[stem] if stem else {"_target_": chosen["_target_"]}
        other = [f"{key} {value}" for key, value in chosen.items() if usual.get(key) != value]
        gates.setdefault(", ".join([stem or chosen["_target_"].rpartition(".")[2], *other]), build(chosen, "gate"))
    return gates


def null_scores(loop: Loop, seeds: Sequence[int], edits: int, gates: Sequence[Gate]) -> tuple[Scores, Scores]:
    """Scores of incumbent and candidate as the loop's judge would take them, enough for each of `gates`.

    Raises `LifeError` where one is not finite.
    """
    kinds: list[Objective] = sorted({gate.score for gate in gates if gate.trials})
    trials = max((gate.trials for gate in gates), default=0)
    sides = ("incumbent", "candidate")
    found: dict[str, dict[Objective, list[Tensor]]] = {side: {kind: [] for kind in kinds} for side in sides}
    standing = loop.start(seeds)
    for step in track(range(1, edits + 1), "A/A trials", console=Console(stderr=True), transient=True):
        for side in sides:
            for k in range(trials):
                for kind, scores in _trial(loop, standing, step, f"check/{step}/{side}/{k}", kinds):
                    found[side][kind].append(scores)
        standing = loop.live(1, standing, step, "life", "off", "trial").standing
    if not all(bool(torch.isfinite(scores).all()) for side in found.values() for kind in side.values() for scores in kind):
        raise LifeError(explain(expected="finite scores of the fixed rule", got="NaN or infinity",
                                do="The rule itself diverges: lower its learning rate."))  # fmt: skip
    before, after = ({kind: torch.stack(scores).unflatten(0, (edits, trials)) for kind, scores in found[side].items()}
                     for side in sides)  # fmt: skip
    return before, after


def _trial(
    loop: Loop, standing: Standing, step: int, stream: str, kinds: Sequence[Objective]
) -> Iterator[tuple[Objective, Tensor]]:
    """One trial's scores of each kind, [S, n]."""
    lived = loop.live(1, standing, step, stream, "off", "trial").standing.state
    with torch.no_grad():
        for kind in kinds:
            scores = loop.engine.scores(loop.world, lived, "gate", stream, kind)
            yield kind, by_seed(scores, loop.world.tasks).flatten(1)


def accepts(gate: Gate, before: Scores, after: Scores) -> Tensor:
    """[edits, S] bool: the gate's verdicts, its memory carried from edit to edit of a run."""
    some = next(iter(before.values()))
    incumbent, candidate = before.get(gate.score, some)[:, : gate.trials], after.get(gate.score, some)[:, : gate.trials]
    verdicts = torch.zeros(some.shape[0], some.shape[2], dtype=torch.bool)
    for s in range(some.shape[2]):
        memory = gate.init()
        for step in range(some.shape[0]):
            yes, _, memory = gate.decide(incumbent[step, :, s], candidate[step, :, s], memory)
            verdicts[step, s] = yes
    return verdicts


def count(verdicts: Tensor, gate: Gate) -> tuple[Share, Share]:
    """The shares of edits and of runs falsely accepted, `verdicts` [edits, S].

    A gate that states an `alpha` means it for an edit, or for a run if it spends it over the edits of a run.
    """
    alpha: float | None = getattr(gate, "alpha", None)
    unit: Literal["edit", "run"] = "edit" if getattr(gate, "spending", "none") == "none" else "run"
    edits = Share(int(verdicts.sum()), verdicts.numel(), alpha if unit == "edit" else None)
    runs = Share(int(verdicts.any(dim=0).sum()), verdicts.shape[1], alpha if unit == "run" else None)
    return edits, runs


def verdict(edits: Share, runs: Share) -> str:
    """Whether what the gate states is compatible with what was counted."""
    stated = [share for share in (edits, runs) if share.level is not None]
    if not stated:
        return f"no level: accepts {edits.accepts / edits.n:.0%}"
    return "holds" if all(share.holds for share in stated) else "FAILS"


def table(shares: Mapping[str, Mapping[int, tuple[Share, Share]]], named: str, runs: int) -> Table:
    """One line a gate and number of edits; the configured gate is marked."""
    drawn = Table(title=f"False accepts of edits that change nothing, {runs} runs")
    for column in ("", "gate", "edits", "per edit", "stated", "per run", "stated", "verdict"):
        drawn.add_column(column)
    for name, by_edits in shares.items():
        for edits, pair in by_edits.items():
            cells = [cell for share in pair for cell in (_cell(share), "" if share.level is None else f"{share.level:g}")]
            first = edits == min(by_edits)
            drawn.add_row("▸" if name == named and first else "", name if first else "", str(edits), *cells,
                          verdict(*pair), end_section=edits == max(by_edits))  # fmt: skip
    return drawn


def _cell(share: Share) -> str:
    low, high = share.interval
    return f"{share.accepts / share.n:.3f} [{low:.3f}, {high:.3f}] of {share.n}"
