"""What a program does, told apart by trying: programs that act alike on fixed probes share a fingerprint.

Everything is computed in float64 and compared to six digits. A vector of numbers is hashed, never their sum, by which
different programs would meet. A program that yields NaN or infinity anywhere has no fingerprint, and so none in common
with another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sandbox.program.language import Signature
from sandbox.program.program import Program
from sandbox.program.run import run_rows
from sandbox.program.tensor import encode

DIGITS = 6
FLOOR = 1e-10  # of the largest number of a group: what is smaller there counts as 0
ANSWER = 1e-3
TIMES = (1, 2, 3, 4, 5, 6, 8, 12, 20, 50, 100, 1000)  # what an update is told of the time, step after step
EARLY, LR, WEIGHTS = 6, 0.1, 12
OUTPUTS, USUAL = 3, 24
TINY, HUGE = 1e-6, 1e3
SIZES = (TINY, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0, 50.0, 100.0, 200.0, 300.0, 500.0, HUGE)
"""Of probes of losses. Limits lie between them: what tells min(4, |d|) from min(8, |d|) is an error of 5."""

Groups = list[Tensor]  # numbers of alike size, [programs, numbers] each
Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Fingerprint:
    """`key` is shared by programs that act alike: of losses, whose slopes in the prediction agree, so that losses that
    differ by a constant are one; of updates, whose steps agree. `scaled` is shared by those that agree up to a positive
    factor, which a plain step feels and a normalised one does not."""

    key: str
    scaled: str


Probed = tuple[Fingerprint | None, str]  # what it is; why it is none


def fingerprint(program: Program) -> Fingerprint | None:
    """The fingerprint of a valid program; None where it has none, and `fault` says why."""
    return _alone(program)[0]


def fault(program: Program) -> str:
    """Why a program has no fingerprint: its numbers overflow, or what it does depends on nothing; empty if it has."""
    return _alone(program)[1]


def fingerprints(programs: Sequence[Program]) -> list[Probed]:
    """Of each of many programs, tried side by side, its fingerprint or why it has none."""
    found: dict[Program, Probed] = {}
    for name in dict.fromkeys(program.signature for program in programs):
        alike = list(dict.fromkeys(program for program in programs if program.signature == name))
        groups = _steps(alike, _course(0)) if alike[0].form.slots else _slopes(alike)
        found |= {program: _printed(program, [group[row] for group in groups]) for row, program in enumerate(alike)}
    return [found[program] for program in programs]


@lru_cache(maxsize=65536)
def _alone(program: Program) -> Probed:
    return fingerprints([program])[0]


def answers_gradient(program: Program) -> bool:
    """Whether an update moves otherwise when it is handed other gradients of usual size: by more than `ANSWER` of its
    own length, over `EARLY` steps. What has its direction from elsewhere, from the weights say, has learned nothing."""
    one, other = (torch.cat(_steps([program], _course(number)[:EARLY])[:EARLY], dim=1) for number in (0, 1))
    return bool((one - other).norm() > ANSWER * one.norm())  # never where one of them is not finite


def sign_test(program: Program) -> bool:
    """Whether more probes say that the program goes the right way than say the wrong one: a loss falls as the
    prediction nears the target (for classes, as the target's output rises above the others; for preferences, as the
    chosen answer becomes likelier than the rejected one); of an update, its first three steps."""
    if program.form.slots:
        gradients = _course(0)[: EARLY // 2]
        moves = _steps([program], gradients)[: len(gradients)]
        along = torch.cat(
            [(move[0] * gradient[:WEIGHTS]).sum()[None] for move, gradient in zip(moves, gradients, strict=True)]
        )
        return bool(torch.isfinite(along).all()) and float(along.sign().sum()) > 0
    inputs = _usual(program.form)
    slopes = _slope([program], inputs)
    ways = [(slopes[name][0] * way).reshape(len(way), -1).sum(dim=1) for name, way in _way(inputs).items()]
    along = torch.stack(ways).sum(dim=0)
    return bool(torch.isfinite(along).all()) and float(along.sign().sum()) < 0


# ---- losses ----------------------------------------------------------------------------------------------------------


def _slopes(programs: Sequence[Program]) -> Groups:
    """Slopes in what is predicted, of probes of usual size, and of each of `SIZES`."""
    form = programs[0].form
    probes = [_usual(form), *(_extreme(form, size) for size in SIZES)]
    together = {name: torch.cat([inputs[name] for inputs in probes]) for name in form.inputs}
    counts = [len(next(iter(inputs.values()))) for inputs in probes]
    parts = zip(*(slope.split(counts, dim=1) for slope in _slope(programs, together).values()), strict=True)
    return [torch.cat([slope.flatten(1) for slope in part], dim=1) for part in parts]


def _slope(programs: Sequence[Program], inputs: Inputs) -> dict[str, Tensor]:
    """{what is predicted: slopes [programs, n, …]} of the sum of the losses of all examples."""
    code, constants = (torch.stack(parts) for parts in zip(*map(encode, programs), strict=True))
    handed = {name: value.expand(len(programs), *value.shape) for name, value in inputs.items()}
    predicted = {name: handed[name].clone().requires_grad_() for name in _way(inputs)}
    with torch.enable_grad():
        losses, *_ = run_rows(code, constants, list((handed | predicted).values()))
        held = losses.sum() + sum(0 * value.sum() for value in predicted.values())
        slopes = torch.autograd.grad(held, list(predicted.values()))
    return dict(zip(predicted, slopes, strict=True))


@cache
def _usual(form: Signature) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    draw = {"output": (USUAL, OUTPUTS), "example": (USUAL,)}
    return {name: torch.arange(USUAL) % OUTPUTS if kind == "label" else
            torch.randn(draw[kind], generator=generator, dtype=torch.float64)
            for name, kind in form.inputs.items()}  # fmt: skip


@cache
def _extreme(form: Signature, size: float) -> Inputs:
    """Every combination of 0, size and -size in what an example is handed, the outputs of one example in turn."""
    three = torch.tensor([0.0, size, -size], dtype=torch.float64)
    real = [name for name, kind in form.inputs.items() if kind != "label"]
    labels = [name for name, kind in form.inputs.items() if kind == "label"]
    grid = dict(zip(real, torch.cartesian_prod(*[three] * len(real)).reshape(-1, len(real)).T, strict=True))
    if "example" not in form.inputs.values():
        grid = {name: torch.stack([value, value.roll(1), value.roll(2)], dim=-1) for name, value in grid.items()}
    count = len(next(iter(grid.values())))
    return {name: torch.arange(count) % OUTPUTS if name in labels else grid[name] for name in form.inputs}


def _way(inputs: Inputs) -> dict[str, Tensor]:
    """The direction in which what is predicted should go, by the names of what is predicted."""
    if "chosen" in inputs:
        return {"chosen": torch.ones_like(inputs["chosen"]), "rejected": -torch.ones_like(inputs["rejected"])}
    p, y = inputs["p"], inputs["y"]
    if y.is_floating_point():
        return {"p": y - p}
    return {"p": one_hot(y, OUTPUTS).to(p.dtype) - 1 / OUTPUTS}


# ---- updates ---------------------------------------------------------------------------------------------------------


@cache
def _course(number: int) -> tuple[Tensor, ...]:
    """Gradients [2 · weights] of each step: noise around a slope of its own, first of usual size, then of all sizes."""
    generator = torch.Generator().manual_seed(number)
    sizes = torch.tensor([0, TINY, 1e-3, 1, 30, HUGE], dtype=torch.float64).repeat(WEIGHTS // 6)
    mean = torch.randn(2 * WEIGHTS, generator=generator, dtype=torch.float64)
    noisy = [mean + torch.randn(2 * WEIGHTS, generator=generator, dtype=torch.float64) for _ in TIMES]
    return tuple(torch.cat([step[:WEIGHTS], step[WEIGHTS:] * sizes]) for step in noisy)


def _steps(programs: Sequence[Program], course: Sequence[Tensor]) -> Groups:
    """What each step of a course returns [programs, weights], of two lives: one meets gradients of usual size, one of
    all sizes. In either the weights move along by `LR`."""
    code, constants = (torch.stack(parts) for parts in zip(*map(encode, programs), strict=True))
    groups: list[Groups] = []
    for life in range(2):
        w = torch.linspace(-1, 2, WEIGHTS, dtype=torch.float64).expand(len(programs), -1)
        slots, moves = [torch.zeros_like(w)] * len(programs[0].form.slots), list[Tensor]()
        for t, gradient in zip(TIMES, course, strict=False):
            g = gradient[life * WEIGHTS : (life + 1) * WEIGHTS].expand_as(w)
            moved, *slots = run_rows(code, constants, [g, w, w.new_full((len(w),), t), *slots])
            w = w - LR * moved
            moves.append(moved)
        groups.append(moves)
    return [*groups[0], *groups[1]]


# ---- keys ------------------------------------------------------------------------------------------------------------


def _printed(program: Program, groups: Groups) -> Probed:
    if not all(bool(torch.isfinite(group).all()) for group in groups):
        return None, "it is not finite on probes of up to 1000"
    if not any(bool(group.any()) for group in groups):
        return None, "it never moves a weight" if program.form.slots else "its slope in the prediction is 0 everywhere"
    most = next(float(group.abs().max()) for group in groups if bool(group.any()))
    key, scaled = (_hashed(program, groups, by) for by in (1.0, most))
    return Fingerprint(key, scaled), ""


def _hashed(program: Program, groups: Groups, by: float) -> str:
    digest = blake2b(program.signature.encode(), digest_size=16)
    for group in groups:
        digest.update(_rounded(group, by))
    return digest.hexdigest()


def _rounded(group: Tensor, by: float) -> bytes:
    """Numbers over `by` in six digits; what is nothing beside the largest of its group is 0, and -0 is 0."""
    held = torch.where(group.abs() <= FLOOR * group.abs().max(), 0, group) / by
    return " ".join(f"{number:.{DIGITS - 1}e}" for number in held.tolist()).encode()
