"""The interpreter: many programs at once are each as it is alone, under vmap, and twice differentiable."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from sandbox.program.language import OPERATORS
from sandbox.program.library import library
from sandbox.program.operators import FUNCTIONS
from sandbox.program.program import Program, ProgramError
from sandbox.program.run import run, run_rows
from sandbox.program.tensor import encode
from sandbox.program.text import parse

GENERATOR = torch.Generator().manual_seed(0)
P, Y = (torch.randn(6, 4, 3, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
LABELS = torch.randint(0, 3, (6, 4), generator=GENERATOR)
AMOUNTS = ["huber", "cauchy", "huber", "absolute_error", "squared_error", "cauchy"]
CLASSES = ["gce", "brier", "hinge", "gce", "cross_entropy", "hinge"]


def stacked(programs: list[Program]) -> tuple[Tensor, Tensor]:
    code, constants = zip(*map(encode, programs), strict=True)
    return torch.stack(code), torch.stack(constants)


@pytest.mark.parametrize(("names", "target"), [(AMOUNTS, Y), (CLASSES, LABELS)])
def test_unlike_programs_in_a_batch_are_each_as_it_is_alone(names: list[str], target: Tensor) -> None:
    code, constants = stacked([library()[name] for name in names])
    (together,) = run_rows(code, constants, [P, target])
    (mapped,) = vmap(lambda *row: run(row[0], row[1], row[2:]))(code, constants, P, target)
    alone = torch.stack([run(code[row], constants[row], [P[row], target[row]])[0] for row in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-13, atol=1e-13)
    assert torch.equal(mapped, together)
    assert together.shape == (6, 4)


def test_two_vmaps_around_it_make_one_batch() -> None:
    """Seeds outside, examples inside, as own losses are taken; the program differs by seed alone."""
    code, constants = stacked([library()[name] for name in AMOUNTS])

    def by_example(code: Tensor, constants: Tensor, p: Tensor, y: Tensor) -> Tensor:
        return vmap(lambda p, y: run(code, constants, [p[None], y[None]])[0][0])(p, y)

    found = vmap(by_example)(code, constants, P, Y)
    torch.testing.assert_close(found, run_rows(code, constants, [P, Y])[0], rtol=1e-13, atol=1e-13)


def test_first_and_second_derivatives_reach_inputs_and_constants() -> None:
    smooth = parse(
        "loss amounts\n a = sub p y\n b = mul 0.7 a\n c = tanh b\n d = square c\n e = exp b\n f = add d e\n return f"
    )
    other = parse("loss amounts\n a = sub p y\n b = aq a 1.3\n c = softplus b\n d = mul c a\n return d")
    code, constants = stacked([smooth, other])

    def losses(constants: Tensor, p: Tensor) -> Tensor:
        return run_rows(code, constants, [p, Y[:2]])[0]

    at = (constants.requires_grad_(), P[:2].clone().requires_grad_())
    assert torch.autograd.gradcheck(losses, at)
    assert torch.autograd.gradgradcheck(losses, at)


def test_every_operator_has_a_function() -> None:
    assert {*FUNCTIONS} == {operator.name for operator in OPERATORS}


def test_protected_operators_are_finite_where_their_names_are_not() -> None:
    zero = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    for name in ("sqrt", "log", "norm", "rms_normalise"):
        found = FUNCTIONS[name](zero).sum() + 0 * zero.sum()
        (slope,) = torch.autograd.grad(found, zero)
        assert torch.isfinite(found)
        assert float(slope) == 0 or name == "rms_normalise"
        assert torch.isfinite(slope).all()
    assert torch.isfinite(FUNCTIONS["div"](zero + 1, zero)).all()
    assert torch.isfinite(FUNCTIONS["exp"](zero + 1e9)).all()


def test_what_is_no_program_is_refused() -> None:
    code, constants = encode(library()["huber"])
    code[2, 0] = 77
    with pytest.raises(ProgramError, match="instruction 1"):
        run(code, constants, [P[0], Y[0]])
