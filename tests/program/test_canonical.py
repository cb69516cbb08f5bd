"""The canonical form: equal formulas get one identity, and no formula changes its meaning."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sandbox.program.canonical import canonical, identity
from sandbox.program.library import library
from sandbox.program.program import Program, checked
from sandbox.program.run import run
from sandbox.program.tensor import decode, encode
from sandbox.program.text import parse, write
from scripts.fuzz_programs import any_signature, random_lines

WIDTH = {"output": (5, 3), "example": (5,), "parameters": (7,), "scalar": ()}


def lived(program: Program, seed: int) -> list[Tensor]:
    """What a program returns for random inputs, and its slopes in them; of an update, over four steps by its slots."""
    generator = torch.Generator().manual_seed(seed)
    form, slots = program.form, {slot: torch.zeros(7, dtype=torch.float64) for slot in program.form.slots}
    found, leaves = list[Tensor](), list[Tensor]()
    for step in range(4 if slots else 1):
        inputs: list[Tensor] = []
        for name, kind in form.inputs.items():
            if kind == "label":
                inputs.append(torch.randint(0, 3, (5,), generator=generator))
            elif name in slots or name == "t":
                inputs.append(slots.get(name, torch.tensor(step + 1.0, dtype=torch.float64)))
            else:
                inputs.append(torch.randn(WIDTH[kind], dtype=torch.float64, generator=generator).requires_grad_())
                leaves.append(inputs[-1])
        returned, *kept = run(*encode(program), inputs)
        slots = dict(zip(slots, kept, strict=True))
        found.append(returned)
    whole = sum((torch.linspace(0.5, 2, each.numel(), dtype=torch.float64) * each.flatten()).sum() for each in found)
    slopes = torch.autograd.grad(whole + 0 * sum(leaf.sum() for leaf in leaves), leaves)
    return [*found, *slopes]


def same(one: Program, other: Program, seed: int) -> None:
    for old, new in zip(lived(one, seed), lived(other, seed), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-10, atol=1e-10, equal_nan=True)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_values_and_slopes_stay(seed: int) -> None:
    rng = Random(seed)
    for _ in range(5):
        program = random_lines(any_signature(rng), rng)
        short = canonical(program)
        assert checked(short) == short
        assert canonical(short) == short
        assert parse(write(short)) == short
        assert decode(*encode(short)) == short
        same(program, short, seed % 1000)


FAMILIES: dict[str, list[str]] = {
    "loss amounts": [
        "a = sub p y; b = abs a; return b",
        "a = sub y p; b = abs a; return b",
        "n = neg y; a = add n p; b = abs a; return b",
        "a = sub p y; b = square a; c = sqrt b; return c",
        "a = sub p y; b = sqrt a; c = square b; return c",
        "a = sub p y; b = neg a; c = max b a; return c",
        "a = sub p y; dead = exp a; b = abs a; c = abs b; return c",
        "a = sub p y; b = sub p y; c = abs b; return c",
        "a = sub p y; b = mul 1 a; c = add b 0; d = abs c; return d",
        "a = sub p y; b = abs a; c = where 1 b y; return c",
        "a = sub p y; b = mul 2 a; c = abs b; d = mul 0.5 c; return d",
    ],
    "loss amounts ": [
        "a = sub p y; b = square a; c = min b 4; return c",
        "a = sub y p; b = abs a; c = mul b b; h = mul 2 2; d = min h c; return d",
        "a = sub y p; b = mul a a; n = neg b; c = max n -4; d = neg c; return d",
    ],
    "loss amounts  ": [
        "a = sub p y; b = max a -1; c = min b 1; return c",
        "a = sub p y; b = min 1 a; c = max b -1; return c",
        "a = sub y p; b = clip a -1 1; c = neg b; return c",
    ],
    "loss classes": [
        "a = log_softmax p; b = gather a y; c = neg b; return c",
        "a = log_softmax p; n = neg a; b = gather n y; return b",
        "a = log_softmax p; b = gather a y; c = mul -1 b; d = div c 1; return d",
    ],
    "update": [
        "a = mul 0.9 m; b = add a g; keep m b; return b",
        "a = mul 0.9 v; b = add g a; keep v b; return b",
        "a = mul s 0.9; b = add g a; c = add b m; keep s b; keep v g; return c",
    ],
    "update ": [
        "return g",
        "a = neg g; b = neg a; return b",
        "a = add g v; keep m w; return a",
        "a = ema g g 0.3; return a",
    ],
}


def program(form: str, lines: str) -> Program:
    return parse("\n".join([form.strip(), *(line.strip() for line in lines.split(";"))]))


@pytest.mark.parametrize("form", FAMILIES)
def test_equal_formulas_have_one_identity(form: str) -> None:
    texts = {write(canonical(program(form, lines))) for lines in FAMILIES[form]}
    assert len(texts) == 1, "\n".join(texts)


SIGNED = [
    "a = sub p y; b = div a -3; c = exp b; return c",
    "a = sub p y; b = div -3 a; c = exp b; return c",
    "a = neg p; b = mul a y; c = mul -2 b; d = sigmoid c; return d",
    "a = sub y p; b = clip a -1 2; c = exp b; return c",
    "a = neg p; b = neg y; c = min a b; d = max b c; e = exp d; return e",
    "a = neg p; b = ema a y 0.3; c = where y a b; d = softplus c; return d",
    "a = neg p; b = aq a y; c = aq y a; d = sub b c; e = tanh d; f = exp e; return f",
    "a = sub p y; b = mean_out a; c = neg b; d = sum_out a; e = sub c d; f = exp e; return f",
    "a = neg p; b = div a 0; c = exp b; d = mul c y; return d",
    "a = sub -1 p; b = add a y; c = neg b; d = log c; return d",
]


@pytest.mark.parametrize("lines", [*SIGNED, *FAMILIES["loss amounts"], *FAMILIES["loss amounts "]])
def test_signs_come_out_right(lines: str) -> None:
    same(program("loss amounts", lines), canonical(program("loss amounts", lines)), 0)


def test_other_formulas_have_other_identities() -> None:
    shipped = [identity(one) for one in library().values()]
    families = [identity(program(form, lines[0])) for form, lines in FAMILIES.items()]
    assert len(set(shipped)) == len(shipped)
    assert len(set(families)) == len(families)


def test_shipped_programs_are_canonical_as_they_stand() -> None:
    assert [name for name, one in library().items() if canonical(one) != one] == []


def test_near_a_limit_a_program_stays_valid() -> None:
    """Moving the sign of g outwards would make the way of w eleven operators long."""
    deep = "; ".join([f"x{i + 1} = tanh {'w' if i == 0 else f'x{i}'}" for i in range(9)])
    one = program("update", f"{deep}; n = neg g; r = mul n x9; return r")
    two = program("update", f"{deep}; n = neg g; o = neg g; r = mul x9 o; return r")
    assert checked(canonical(one)) == canonical(one) == canonical(two)


def test_where_the_algebra_would_lose_what_a_loss_must_depend_on_it_stays() -> None:
    one = program("loss amounts", "a = where 1 p y; return a")
    assert canonical(one) == one


def test_a_slot_that_dies_in_the_rewriting_is_0_for_whoever_kept_it() -> None:
    lines = [
        "update",
        "x1 = add m v",
        "x2 = add g x1",
        "x5 = dot s x1",
        "x6 = clip v x2 g",
        "keep m x1",
        "keep s m",
        "return x6",
    ]
    found = canonical(parse("\n".join(lines)))
    assert canonical(found) == found
