"""What a level may ask for, checked when it is built: its limits are never declared by what they limit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace

import torch

from sandbox.core.edit import absolute, covers
from sandbox.core.error import ConfigError, ContractError, explain
from sandbox.core.finding import Finding
from sandbox.core.needs import Needs
from sandbox.core.protocols import Level, World
from sandbox.core.watch import Meter


def agreed(levels: tuple[Level, ...]) -> None:
    """Raises `ConfigError` where two levels would each need a tape of their own, or a score that has no beginning."""
    taping = [(n, level.needs.adjoint) for n, level in enumerate(levels, start=1) if level.needs.grads]
    lossy = {n: (adjoint.first_order, adjoint.truncate) for n, adjoint in taping}
    if len(set(lossy.values())) > 1 or any(truncate for n, (_, truncate) in lossy.items() if n > 1):
        raise ConfigError(explain(
            expected="one adjoint for all levels that take hypergradients, and truncation at level 1 alone",
            got=f"{dict(taping)}", do="What one level leaves out, another's tape can't hold."))  # fmt: skip
    for n, level in enumerate(levels, start=1):
        overs = [*(grad.over for grad in level.needs.grads), level.gate.score.over]
        if "improvement" in overs and any(below.lifetime == "episodic" for below in levels[: n - 1]):
            raise ConfigError(explain(expected="lives that go on through the horizon of an improvement",
                                      got=f"episodic lives below level {n}",
                                      do="Score the end or the life there."))  # fmt: skip


def placed(world: World, n: int, level: Level) -> Level:
    """The level as the `n`-th, its relative paths made absolute. Raises `ConfigError` where it asks for what lies out
    of its reach, or for what can't be served."""
    needs, level = _absolute(level.needs, n), copy(level)
    for name in ("allow", "reads"):
        if (paths := getattr(level, name)) is not None:
            object.__setattr__(level, name, tuple(absolute(path, n) for path in paths))
    _horizon(n, level)
    _grads(needs)
    _reach(n, level, needs)
    if needs.population < 0 or (needs.population and "practice" not in world.task.noise):
        raise ConfigError(explain(expected="a task with a practice split, to score a population on",
                                  got=f"{type(world.task).__name__} with {sorted(world.task.noise)}",
                                  do="Choose a task with one, or a meta-learner without a population."))  # fmt: skip
    _lasts(world, n, level, needs)
    object.__setattr__(level, "needs", needs)
    return level


def sound(findings: Iterable[Finding], levels: Sequence[Level], meters: Sequence[Meter]) -> None:
    """Raises `ContractError` for the first fault that matters here: one of the tape where a level or a meter
    differentiates through a life, or where there are no levels, and so no telling who will."""
    editors = [type(level.meta_learner).__name__ for level in levels if level.needs.grads]
    takers = [*editors, *(type(meter).__name__ for meter in meters if getattr(meter, "taped", False))]
    for finding in findings:
        if finding.fault and (not finding.tape or takers or not levels):
            who = f" (for {', '.join(takers)})" if finding.tape and takers else ""
            raise ContractError(explain(expected=f"{finding.law}{who}", got=finding.fault, do=finding.do))


def runnable(world: World) -> None:
    """Raises `ConfigError` for a device on which a world can't run."""
    if world.device.split(":")[0] not in ("cpu", "cuda"):
        raise ConfigError(explain(expected="device cpu or cuda", got=world.device,
                                  do="Scores and psi are kept in float64, which mps lacks."))  # fmt: skip
    if world.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(explain(expected="a CUDA device", got="none that torch can use here", do="Set device=cpu."))


def _absolute(needs: Needs, n: int) -> Needs:
    return replace(
        needs,
        edits=tuple(absolute(path, n) for path in needs.edits),
        reads=tuple(absolute(path, n) for path in needs.reads),
        grads=tuple(replace(grad, path=absolute(grad.path, n)) for grad in needs.grads),
    )


def _horizon(n: int, level: Level) -> None:
    least = 1 if n == 1 else 2
    if level.horizon < least:
        raise ConfigError(explain(expected=f"a horizon of {least} or more at level {n}", got=str(level.horizon),
                                  do="An edit acts only in the step after it."))  # fmt: skip


def _grads(needs: Needs) -> None:
    grads = needs.grads
    twice = len({(grad.objective, grad.path) for grad in grads}) < len(grads)
    if twice or any(grad.last is not None and grad.last < 1 for grad in grads):
        raise ConfigError(explain(
            expected="one hypergradient an objective and path, over one inner step or more", got=f"{grads}",
            do="Name each once in `needs.grads`, with `last` 1 or more, or None for all."))  # fmt: skip
    if any(grad.over == "life" for grad in grads) and (needs.adjoint.truncate or needs.adjoint.checkpoint):
        raise ConfigError(
            explain(
                expected="a full or first-order adjoint for hypergradients over a whole life",
                got=f"{needs.adjoint}",
                do="Score the end, or leave truncate and checkpoint at 0.",
            )
        )


def _reach(n: int, level: Level, needs: Needs) -> None:
    """Edits, reads and hypergradients within the level's own limits, and within what lies below it."""
    _within(needs.edits, level.allow, "allow", "edit")
    _within(needs.reads, level.reads, "reads", "read")
    below = ["init", "params", "slots", "rule", f"meta/{n}", f"memory/{n}"]
    below += [f"{slot}/{m}" for m in range(1, n) for slot in ("meta", "memory", "gate")]
    above = [path for path in (*needs.edits, *(level.allow or ())) if not covers(below, path)]
    if above:
        raise ConfigError(explain(expected=f"a level {n} that edits what lies below it: {below}", got=f"{above}",
                                  do="A level never edits its own gate, tasks, seeds or what lies above."))  # fmt: skip
    seen = [*needs.reads, *(grad.path for grad in needs.grads), *(level.reads or ())]
    hidden = [path for path in seen if not covers(below, path)]
    if hidden:
        raise ConfigError(
            explain(
                expected=f"a level {n} that reads what lies below it: {below}",
                got=f"{hidden}",
                do="A task holds the gate's data, and a gate its own memory: neither is served.",
            )
        )


def _lasts(world: World, n: int, level: Level, needs: Needs) -> None:
    """An edit acts in the step after it, so what is reborn before that can't be edited."""
    if level.lifetime == "persistent":
        return
    mortal = ["params", "slots", *(f"memory/{m}" for m in range(1, n + 1))]
    mortal += [path for path in world.per_lane if path.split("/")[0] == "rule"]
    lost = [path for path in needs.edits if covers(mortal, path) or (path == "rule" and covers(mortal, "rule"))]
    if lost:
        raise ConfigError(
            explain(
                expected="edits of what outlives an episodic life",
                got=f"{lost}",
                do="Set lifetime=persistent, or edit init, phi with a row a seed, or psi.",
            )
        )


def _within(asked: Iterable[str], limit: tuple[str, ...] | None, name: str, verb: str) -> None:
    beyond = [path for path in asked if limit is not None and not covers(limit, path)]
    if beyond:
        raise ConfigError(explain(expected=f"{verb}s within the level's `{name}`: {list(limit or ())}",
                                  got=f"a meta-learner that asks for {beyond}",
                                  do=f"Widen `{name}`, or narrow `meta_learner.{verb}s`."))  # fmt: skip
