"""The A/A table: how often each gate accepts an edit that changes nothing but luck, beside the level that it states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, cast

import torch
from omegaconf import OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import binomtest
from torch import Tensor

from sandbox.config import build
from sandbox.core.edit import Edit, apply, covers
from sandbox.core.error import LifeError, explain
from sandbox.core.protocols import Gate, Written
from sandbox.core.random import uniforms
from sandbox.core.score import Score
from sandbox.core.state import State
from sandbox.core.tree import by_seed
from sandbox.experiment import build_loop
from sandbox.identity import trusted
from sandbox.loop.formula import faults, phis
from sandbox.loop.reflect import Loop
from sandbox.loop.trial import Trial
from sandbox.meta_learner.none import Nothing
from sandbox.program.rewrite import UNIFORMS, rewritings
from sandbox.trust import target

SEEDS = 32  # runs at least: five false accepting runs among 32 are needed to tell a level of .05 from a higher one
EDITS = (40, 100)  # asked edits a run
ABOUT = """Incumbent and candidate are one state that lives its trials on different fresh streams: equal in law, so
every accept is false. (On one stream they would be equal in every bit, and no gate accepts a difference of exactly 0.)
The rule is fixed; between two asked edits the life goes on one horizon. A rule of programs is edited all the same: the
candidate has the same programs in other words, with operands swapped and code that nothing uses. Intervals are exact
binomial, 95 %."""

Scores = dict[Score, Tensor]  # [edits, trials, S, n]


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
    torch.set_num_threads(config["threads"])
    loop = build_loop(config | {"above": [], "meter": {}})
    loop = replace(loop, levels=(replace(loop.levels[0], meta_learner=Nothing(), allow=None, anchor=None),))
    seeds = range(config["seed"], config["seed"] + max(SEEDS, config["seeds"]))
    gates = contenders(config["gate"], trusted(config))
    before, after = null_scores(loop, seeds, max(EDITS), list(gates.values()))
    shares: dict[str, dict[int, tuple[Share, Share]]] = {}
    for name, gate in gates.items():
        accepted = verdicts(gate, before, after)
        shares[name] = {edits: count(accepted[:edits], gate) for edits in EDITS}
    named = next(iter(shares))
    console = Console()
    console.print(table(shares, named, len(seeds)))
    console.print(ABOUT.replace("\n", " "))
    return 0 if all(verdict(*pair) == "holds" for pair in shares[named].values()) else 1


def contenders(node: Mapping[str, Any], trust: Sequence[str] = ()) -> dict[str, Gate]:
    """The configured gate first, then every member of conf/gate, each followed by its variants, judging by the same
    objective; named by their fields that differ from the member's file.

    A gate's variants are what its fields name: `field(default=…, metadata={"variants": (…)})`.
    """
    folder = files("sandbox.conf").joinpath("gate")
    members = {path.name.removesuffix(".yaml"): _read(path) for path in folder.iterdir() if path.name.endswith(".yaml")}
    nodes = [dict(node), *(variants(node, trust) if _stem(node) not in members else ())]
    for _, member in sorted(members.items()):
        same = {"score": node["score"]} if "score" in node and "score" in member else {}
        nodes += [member | same, *(variant | same for variant in variants(member))]
    gates: dict[str, Gate] = {}
    for chosen in nodes:
        stem = _stem(chosen)
        usual = members.get(stem, {"_target_": chosen["_target_"]})
        other = list(_apart(chosen, usual))
        gates.setdefault(", ".join([stem, *other]), build(chosen, "gate", trust=trust))
    return gates


def variants(node: Mapping[str, Any], trust: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What the fields of a gate say is worth seeing beside it, one field changed in each."""
    cls = target(node["_target_"], "gate", trust=trust)
    named = fields(cls) if is_dataclass(cls) else ()
    return [dict(node) | {field.name: value} for field in named for value in field.metadata.get("variants", ())]


def _apart(node: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    """Each setting of `node` that is not the usual one, in words."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _apart(value, usual.get(key, {}))
        elif usual.get(key) != value:
            yield f"{key} {value}"


def _stem(node: Mapping[str, Any]) -> str:
    return node["_target_"].split(".")[-2]


def _read(path: Traversable) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(path.read_text())))


def null_scores(loop: Loop, seeds: Sequence[int], edits: int, gates: Sequence[Gate]) -> tuple[Scores, Scores]:
    """Scores of incumbent and candidate as the loop's judge would take them, enough for each of `gates`.

    Raises `LifeError` where one is not finite.
    """
    kinds = tuple(dict.fromkeys(gate.score for gate in gates if gate.trials))
    trials = max(gate.trials for gate in gates)
    sides: list[dict[Score, list[Tensor]]] = [{kind: [] for kind in kinds} for _ in range(2)]
    standing = loop.start(seeds)
    for step in track(range(1, edits + 1), "A/A trials", console=Console(stderr=True), transient=True):
        for side, found in zip(("incumbent", "candidate"), sides, strict=True):
            state = reworded(loop, standing.state, step) if side == "candidate" else standing.state
            for k in range(trials):
                stream = f"check/{step}/{side}/{k}"
                for kind, scores in Trial(loop, 1, state, step, stream, kinds).outcome().items():
                    found[kind].append(by_seed(scores, loop.world.tasks).flatten(1))
        standing = loop.live(1, standing, step, "life", None, "trial").standing
    before, after = (Scores((kind, torch.stack(scores).unflatten(0, (edits, trials))) for kind, scores in found.items())
                     for found in sides)  # fmt: skip
    if not all(bool(torch.isfinite(scores).all()) for scores in (*before.values(), *after.values())):
        raise LifeError(explain(expected="finite scores of the fixed rule", got="NaN or infinity",
                                do="The rule itself diverges: lower its learning rate."))  # fmt: skip
    return before, after


def reworded(loop: Loop, state: State, step: int) -> State:
    """The state after an edit that puts a rule's programs in other words; itself where the rule has none."""
    if not isinstance(loop.world.rule, Written) or covers(loop.world.per_lane, "rule"):
        return state
    tosses = uniforms(state.seed, "check/reworded", step, (UNIFORMS,))
    edit = Edit(rewritings([phis(state, s)[0] for s in range(state.seeds)], tosses))
    found, taken = apply(state, edit, allow=tuple(edit.set))
    assert bool(taken.all())
    assert not faults(loop.world.rule, found, edit)
    return found


def verdicts(gate: Gate, before: Scores, after: Scores) -> Tensor:
    """[edits, S] bool: what the gate accepts, its memory carried from edit to edit of a run."""
    edits, _, runs, _ = next(iter(before.values())).shape
    paired = [scores[gate.score][:, : gate.trials] if gate.trials else torch.zeros(edits, 0, runs, 0)
              for scores in (before, after)]  # fmt: skip
    accepted = torch.zeros(edits, runs, dtype=torch.bool)
    for s in range(runs):
        memory = gate.init()
        for edit in range(edits):
            yes, _, memory = gate.decide(paired[0][edit, :, s], paired[1][edit, :, s], memory)
            accepted[edit, s] = yes
    return accepted


def count(accepted: Tensor, gate: Gate) -> tuple[Share, Share]:
    """The shares of edits and of runs falsely accepted, of `accepted` [edits, S].

    A gate that states an `alpha` means it for an edit, or for a run if it spends it over the edits of a run.
    """
    alpha: float | None = getattr(gate, "alpha", None)
    unit: Literal["edit", "run"] = "edit" if getattr(gate, "spending", "none") == "none" else "run"
    edits = Share(int(accepted.sum()), accepted.numel(), alpha if unit == "edit" else None)
    runs = Share(int(accepted.any(dim=0).sum()), accepted.shape[1], alpha if unit == "run" else None)
    return edits, runs


def verdict(edits: Share, runs: Share) -> str:
    """Whether what the gate states is compatible with what was counted."""
    stated = [share for share in (edits, runs) if share.level is not None]
    if not stated:
        return f"FAILS: states no level, accepts {edits.accepts / edits.n:.0%}"
    return "holds" if all(share.holds for share in stated) else "FAILS"


def table(shares: Mapping[str, Mapping[int, tuple[Share, Share]]], named: str, runs: int) -> Table:
    """One line a gate and number of edits; the configured gate is marked."""
    drawn = Table(title=f"False accepts of edits that change nothing, {runs} runs", box=SIMPLE_HEAD, padding=0)
    for column in ("gate", "edits", "share of edits", "share of runs", "verdict"):
        drawn.add_column(column, no_wrap=column.startswith("share"))
    for name, by_edits in shares.items():
        label = f"[bold]▸ {name}[/]" if name == named else name
        for edits, pair in by_edits.items():
            drawn.add_row(label, str(edits), *map(_interval, pair), _verdict(*pair), end_section=edits == max(by_edits))
            label = ""
    return drawn


def _interval(share: Share) -> str:
    at, low, high = (f"{x:.3f}".removeprefix("0") for x in (share.accepts / share.n, *share.interval))
    return rf"{at} \[{low}, {high}]"  # a bare bracket would be markup


def _verdict(edits: Share, runs: Share) -> str:
    """In words, with the level that it is about."""
    stated = [f"{share.level:g} {unit}" for share, unit in ((edits, "an edit"), (runs, "a run")) if share.level]
    return f"{verdict(edits, runs)}: {', '.join(stated)}" if stated else verdict(edits, runs)
