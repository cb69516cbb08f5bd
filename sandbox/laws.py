"""The laws of the seams, one function each: it is given a member on its stage, and raises where the law is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass, replace
from functools import partial
from math import isclose
from typing import Any

import torch
from torch import nn

from sandbox.archive import lineage
from sandbox.compose import SEVERAL, SINGLE
from sandbox.config import build
from sandbox.core.birth import phi_of
from sandbox.core.edit import covers
from sandbox.core.error import ConfigError, ContractError, explain
from sandbox.core.finding import Finding
from sandbox.core.protocols import Checked, World, Written
from sandbox.core.random import uniform, untouched
from sandbox.core.state import State
from sandbox.engine.sound import examine
from sandbox.experiment import perform
from sandbox.identity import seeds_of, trusted
from sandbox.reached import rule_reached, still, task_reached
from sandbox.replay import replay
from sandbox.stage import Stage
from sandbox.trust import target
from sandbox.watched import watched

ROUNDING = {"float32": 1e-3, "float64": 1e-9}  # of what a seed alone and the same seed in a batch may differ by
PLAINLY = "sandbox.engine.higher.Higher"  # life by life
KINDS = (*SINGLE, *SEVERAL)

Check = Callable[[Stage], None]


@dataclass(frozen=True)
class Law:
    """`name`; what it `says`; the groups that it is about."""

    name: str
    says: str
    groups: tuple[str, ...]
    check: Check

    @property
    def __name__(self) -> str:  # what pytest calls a test by
        return self.name

    def __call__(self, stage: Stage) -> None:
        """Raises a `SandboxError` where the member on this stage breaks the law."""
        with untouched():
            torch.set_num_threads(stage.config["threads"])
            self.check(stage)


def _equal(one: Any, other: Any) -> bool:
    """Whether two objects are one by what they say of themselves; by their fields, where they don't compare."""
    if type(one).__eq__ is not object.__eq__:
        return one == other
    return all(getattr(one, field.name) == getattr(other, field.name) for field in fields(one) if field.init)


# ---- what it is -----------------------------------------------------------------------------------------------------


def told(stage: Stage) -> None:
    """Its fields are its configuration, and can't be changed afterwards."""
    make = partial(build, stage.node, stage.where, trust=trusted(stage.config), **_given(stage))
    cls = target(stage.node["_target_"], stage.where, trust=trusted(stage.config))
    if issubclass(cls, nn.Module):
        return
    one, other = make(), make()
    if not is_dataclass(one):
        raise ContractError(explain(expected=f"{cls.__name__} to be a frozen dataclass", got="an ordinary class",
                                    do="Write @dataclass(frozen=True): its fields are its configuration."))  # fmt: skip
    for field in fields(one)[:1]:
        try:
            setattr(one, field.name, getattr(one, field.name))
        except FrozenInstanceError:
            continue
        raise ContractError(explain(expected=f"{cls.__name__} to be frozen", got="a dataclass that can be changed",
                                    do="Write @dataclass(frozen=True): what changes is state."))  # fmt: skip
    if not _equal(one, other):
        raise ContractError(explain(expected=f"two {cls.__name__} of one configuration to be equal", got="unequal ones",
                                    do="Let its fields alone say what it is: what is drawn or counted as it is made "
                                       "is in no configuration."))  # fmt: skip


def refuses(stage: Stage) -> None:
    """An editor that may edit nothing is refused before the first step."""
    if not stage.loop().levels[0].needs.edits:
        return
    try:
        stage.loop(allow=["rule/nothing_of_that_name"]).start(seeds_of(stage.config))
    except ConfigError:
        return
    raise ContractError(explain(expected="an editor that may edit nothing to be refused", got="a run",
                                do="Name what it edits in `needs.edits`."))  # fmt: skip


def _given(stage: Stage) -> dict[str, Any]:
    if stage.group != "model":
        return {}
    task = build(stage.config["task"], "task", trust=trusted(stage.config))
    return {"inputs": task.inputs, "outputs": task.outputs}


# ---- how it behaves -------------------------------------------------------------------------------------------------


def lives(stage: Stage) -> None:
    """Its first steps go through, with finite losses."""
    _finite(stage.lines(stage.loop()))


def _finite(lines: Iterable[Mapping[str, Any]]) -> None:
    for line in lines:
        if line["step"] and any(value is None for value in line["own"]):
            raise ContractError(explain(expected="finite losses", got=f"one that is not, at step {line['step']}",
                                        do="Lower its rate, or look at what divides or takes logarithms."))  # fmt: skip


def pure(stage: Stage) -> None:
    """Every method is a function of what it is handed: asked twice it answers alike, it writes and draws nothing."""
    loop = stage.loop()
    loop = replace(loop, world=still(loop.world)) if stage.group in ("task", "rule") else loop
    played = stage.played(loop, watched(stage.member(loop)))
    if stage.group not in ("task", "rule"):
        stage.lines(played)
        return
    state, plainly = loop.start(seeds_of(stage.config)[:1]).state, build({"_target_": PLAINLY}, "engine")
    with torch.no_grad():
        plainly.rehearse(played.world, state)  # on one life, in plain Python
        _begin(played.world, state)


def _begin(world: World, state: State) -> None:
    """What is called before the first step."""
    world.model.init(0)
    world.task.draw(uniform(0, "pure", 0, (world.task.noise["draw"],)), held_out=False)
    params = {name: leaf[0].clone() for name, leaf in state.init.items()}
    begun = phi_of(world, {name: leaf[None] for name, leaf in params.items()}, [0])
    phi = {name: leaf[0] for name, leaf in begun.items()}
    world.rule.slots(params)
    world.rule.readable(phi)


def repeats(stage: Stage) -> None:
    """A second run is the first, bit for bit, whatever was drawn from the global generators before it."""
    with untouched():
        torch.manual_seed(1)
        first = stage.lines(stage.loop())
    with untouched():
        torch.manual_seed(2)
        loop = stage.loop()
        second, third = stage.lines(loop), stage.lines(loop)
    _alike(first, second, "two runs of one configuration", "Draw nothing but from `noise`, read no clock and no file "
           "that changes.")  # fmt: skip
    _alike(first, third, "two runs of the same objects", "The object keeps something between runs: what changes "
           "belongs to the state.")  # fmt: skip


def alone(stage: Stage) -> None:
    """A seed alone is the same seed in a batch, to rounding."""
    *_, seed = seeds_of(stage.config)
    together, apart = stage.lines(stage.loop()), stage.lines(stage.loop(), seeds=[seed])
    tolerance = ROUNDING[getattr(stage.loop().world.task, "dtype", "float32")]
    for line, other in zip(together, apart, strict=True):
        for what, one, two in _numbers(line, other):
            if not _close(one, two, tolerance):
                raise ContractError(explain(
                    expected=f"seed {seed} alone to be seed {seed} among others",
                    got=f"{what} of {two} alone and {one} among others, at step {line['step']}",
                    do="You are handed one seed (or life) at a time: let nothing pass between calls."))  # fmt: skip


def _numbers(line: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The last seed's numbers beside those of the only one."""
    found = [("the loss A", line["own"][-1], other["own"][0])] if line["own"] and line["step"] else []
    return found + [(f"the reading {name}", values[-1], other["readings"][name][0])
                    for name, values in line["readings"].items()
                    if name in other["readings"] and not name.endswith("null")]  # fmt: skip


def _close(one: Any, two: Any, tolerance: float) -> bool:
    if one is None or two is None:
        return one is two
    return isclose(one, two, rel_tol=tolerance, abs_tol=tolerance)


def resumes(stage: Stage) -> None:
    """A run that ends early and goes on is the run that never ended, line by line."""
    tracker = {"jsonl": {"_target_": "sandbox.tracker.jsonl.Jsonl"},
               "checkpoint": {"_target_": "sandbox.tracker.checkpoint.Checkpoint", "every": 1}}  # fmt: skip
    config = stage.config | {"tracker": stage.config["tracker"] | tracker}
    runs = stage.config["runs"]
    perform(config | {"steps": stage.config["steps"] - 1, "runs": f"{runs}/resumed"})
    resumed = lineage.read(perform(config | {"runs": f"{runs}/resumed"}))
    whole = lineage.read(perform(config | {"runs": f"{runs}/whole"}))
    _alike(whole, resumed, "a run that goes on from its checkpoint", "All that it goes on by must be in the state: "
           "psi, memory, slots, never the object.")  # fmt: skip


def replays(stage: Stage) -> None:
    """The run can be executed again from its folder alone, to the same lines."""
    folder = perform(stage.config | {"runs": f"{stage.config['runs']}/replayed"})
    _finite(lineage.read(folder))
    replay(folder, trust=trusted(stage.config))


def shifts_nothing(stage: Stage) -> None:
    """With it or without it, the run is the same; and it reads what it has described, one number a seed."""
    loop = stage.loop()
    lines = stage.lines(loop)
    _alike([line["digest"] for line in stage.lines(replace(loop, meters=()))], [line["digest"] for line in lines],
           "a run with the meter and one without", "A meter only looks: draw from no stream of the run's.")  # fmt: skip
    known = [reading.name for reading in stage.member(loop).readings]
    for name, values in ((name, values) for line in lines for name, values in line["readings"].items()):
        if not any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in known):
            raise ContractError(explain(expected=f"readings that {stage.name} has described: {known}", got=f"'{name}'",
                                        do="Add a Reading(name, title) to `readings`."))  # fmt: skip
        if len(values) != len(seeds_of(stage.config)):
            raise ContractError(explain(expected=f"one number a seed at '{name}'", got=f"{len(values)} numbers",
                                        do="Return {name: tensor [S]}."))  # fmt: skip


def declares(stage: Stage) -> None:
    """It asks for edits of declared paths alone, and is served nothing that it hasn't declared."""
    loop = stage.loop()
    needs = loop.levels[0].needs
    for line in stage.lines(loop):
        beyond = [path for path in line["edit"] if not covers(needs.edits, path) and not path.startswith("meta/")]
        if beyond:
            raise ContractError(explain(expected=f"edits of declared paths: {list(needs.edits)}", got=f"{beyond}",
                                        do="Name them in `needs.edits`."))  # fmt: skip


def reached(stage: Stage) -> None:
    """Every number is reached by gradient, and the tape agrees with finite differences."""
    loop = stage.loop()
    state = loop.start(seeds_of(stage.config)[:1]).state
    {"rule": rule_reached, "task": task_reached}[stage.group](loop.world, state)


def faultless(stage: Stage) -> None:
    """A rule that checks phi finds no fault with what it begins with, and tells in words only leaves that it has."""
    loop = stage.loop()
    rule, phi = loop.world.rule, {name: leaf[0] for name, leaf in loop.start([0]).state.rule.items()}
    fault = rule.fault(phi) if isinstance(rule, Checked) else ""
    unknown = sorted(rule.written(phi).keys() - phi.keys()) if isinstance(rule, Written) and not fault else []
    if fault or unknown:
        raise ContractError(explain(expected="phi of `init` without a fault, and words for leaves of it",
                                    got=fault or f"words for {unknown}", do="Mend `fault` or `written`."))  # fmt: skip


def sound(stage: Stage) -> None:
    """The network is the pure function that it claims to be, alone as in a batch, on the tape as off it."""
    for finding in examined(stage):
        if finding.fault:
            raise ContractError(explain(expected=finding.law, got=finding.fault, do=finding.do))


def examined(stage: Stage) -> tuple[Finding, ...]:
    """What the check at the start of a run finds of a network."""
    loop = stage.loop()
    return examine(loop.engine, loop.world, stage.config["seed"])


def _alike(one: list[Any], other: list[Any], what: str, do: str) -> None:
    if one == other:
        return
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    keys = [key for key in one[at] if one[at][key] != other[at].get(key)] if isinstance(one[at], dict) else []
    got = f"another {', '.join(keys) or 'state'} from line {at + 1} on"
    raise ContractError(explain(expected=f"{what} to be the same", got=got, do=do))


def _law(check: Check, *groups: str) -> Law:
    return Law(check.__name__, (check.__doc__ or "").strip().rstrip("."), groups or KINDS, check)


AUTHORED = ("task", "model", "rule", "meta_learner", "gate", "meter")
WATCHED = tuple(group for group in AUTHORED if group != "model")  # a network is judged by `sound`
LAWS = (
    _law(lives), _law(told), _law(refuses, "meta_learner"), _law(pure, *WATCHED), _law(declares, "meta_learner"),
    _law(reached, "task", "rule"), _law(faultless, "rule"), _law(repeats), _law(alone), _law(resumes), _law(replays),
    _law(shifts_nothing, "meter"), _law(sound, "model"),
)  # fmt: skip
