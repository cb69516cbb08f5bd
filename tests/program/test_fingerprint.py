"""Fingerprints: what acts alike shares one, what acts otherwise doesn't, and what is broken has none."""

from __future__ import annotations

import pytest
import torch

from sandbox.program.fingerprint import _hashed, answers_gradient, fault, fingerprint, fingerprints, sign_test
from sandbox.program.library import library
from sandbox.program.program import Program
from sandbox.program.text import parse


def program(form: str, lines: str) -> Program:
    return parse("\n".join([form, *(line.strip() for line in lines.split(";"))]))


def amounts(lines: str) -> Program:
    return program("loss amounts", lines)


def update(lines: str) -> Program:
    return program("update", lines)


SGD = library()["sgd"]
SQUARE = "a = sub p y; b = square a"


def test_every_shipped_program_has_its_own() -> None:
    found = {name: fingerprint(one) for name, one in library().items()}
    assert all(found.values())
    assert len({one.key for one in found.values() if one}) == len(found)


def test_losses_that_differ_by_a_constant_are_one() -> None:
    assert fingerprint(amounts(f"{SQUARE}; return b")) == fingerprint(amounts(f"{SQUARE}; c = add b 3; return c"))


def test_what_the_algebra_does_not_see_the_probes_do() -> None:
    """(p - y)² = p² - 2py + y², which no rewriting of sums finds."""
    whole = amounts("a = square p; b = mul p y; c = mul 2 b; d = sub a c; e = square y; f = add d e; return f")
    assert fingerprint(whole) == fingerprint(amounts(f"{SQUARE}; return b"))


def test_a_positive_factor_is_flagged_and_no_duplicate() -> None:
    once, twice, less = (fingerprint(amounts(f"{SQUARE}; c = mul {by} b; return c")) for by in (1, 2, -1))
    assert once
    assert twice
    assert less
    assert once.key != twice.key
    assert once.scaled == twice.scaled != less.scaled


def test_a_sum_of_slopes_would_merge_what_a_vector_tells_apart() -> None:
    some, others = ([torch.tensor(row, dtype=torch.float64)] for row in ([1.0, 2.0, -3.0], [2.0, 1.0, -3.0]))
    assert _hashed(SGD, some, 1.0) != _hashed(SGD, others, 1.0)


def test_noise_in_the_last_digits_and_the_sign_of_zero_are_no_difference() -> None:
    row = torch.tensor([1.0, -0.0, 3e-17, -250.0], dtype=torch.float64)
    same = torch.tensor([1 + 1e-12, 0.0, -1e-13, -250.00000001], dtype=torch.float64)
    assert _hashed(SGD, [row, -0.0 * row.abs()], 1.0) == _hashed(SGD, [same, 0 * row.abs()], 1.0)
    assert _hashed(SGD, [row], 1.0) != _hashed(SGD, [row * (1 + 1e-4)], 1.0)


def test_minus_zero_is_zero() -> None:
    flat = "a = sub p y; b = max a 0; c = mul {} b; return c"
    above, below = (amounts(flat.format(by)) for by in ("1", "-1"))
    assert fingerprint(above) != fingerprint(below)
    assert fingerprint(amounts("a = sub p y; b = max a 0; return b")) == fingerprint(above)
    assert fingerprint(amounts("a = sub y p; b = min a 0; c = neg b; return c")) == fingerprint(above)


@pytest.mark.parametrize("power", [6, 7])
def test_what_overflows_shares_nothing(power: int) -> None:
    lines = ["x0 = sub p y"] + [f"x{i + 1} = square x{i}" for i in range(power + 1)]
    wild = amounts("; ".join([*lines, f"return x{power + 1}"]))
    assert fingerprint(wild) is None
    assert "finite" in fault(wild)


def test_a_loss_without_slope_says_so() -> None:
    dull = amounts("a = sub p y; b = sign a; return b")
    assert fingerprint(dull) is None
    assert "slope" in fault(dull)
    classes = program("loss classes", "a = one_hot y p; return a")
    assert "slope" in fault(classes)


def test_updates_are_told_apart_by_their_steps() -> None:
    plain, late = update("return g"), update("a = ema m g 0.5; keep m a; return a")
    doubled = update("a = mul 2 g; return a")
    found = [fingerprint(one) for one in (plain, late, doubled)]
    assert len({one.key for one in found if one}) == 3
    assert found[0]
    assert found[2]
    assert found[0].scaled == found[2].scaled
    assert fingerprint(update("a = mul 0.5 g; b = add a a; return b")) == found[0]


def test_many_at_once_are_each_alone() -> None:
    many = [*library().values(), amounts(f"{SQUARE}; return b"), update("a = sub g g; return a")]
    assert fingerprints(many) == [(fingerprint(one), fault(one)) for one in many]
    assert fingerprints(many)[-1] == (None, "it never moves a weight")


def test_an_update_must_answer_its_gradient() -> None:
    """u = w is the best there is for a bowl with its bottom at 0, and has learned nothing."""
    assert not answers_gradient(update("a = sub g g; b = add w a; return b"))
    assert not answers_gradient(update("a = mul 1e-9 g; b = add w a; return b"))
    assert all(answers_gradient(one) for one in library().values() if one.form.slots)


def test_the_sign_test_knows_the_way() -> None:
    assert [name for name, one in library().items() if not sign_test(one)] == []
    assert not sign_test(amounts(f"{SQUARE}; c = neg b; return c"))
    assert not sign_test(amounts("a = sub p y; return a"))
    assert sign_test(amounts("a = sub p y; b = min 2 a; c = abs b; return c"))
    assert not sign_test(program("loss classes", "a = log_softmax p; b = gather a y; return b"))
    assert not sign_test(update("a = neg g; return a"))


def test_no_generator_is_touched() -> None:
    before = torch.get_rng_state()
    fingerprint(amounts("a = sub p y; b = softplus a; return b"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("size", ["abs", "softplus"])
def test_limits_between_the_usual_and_the_huge_are_told_apart(size: str) -> None:
    limits = (2.5, 4, 6, 8, 12, 100, 400)
    made = [amounts(f"d = sub p y; s = {size} d; c = min {limit} s; return c") for limit in limits]
    assert len({found.key for each in made if (found := fingerprint(each))}) == len(made)


def test_times_are_told_apart() -> None:
    made = [update(f"u = min t {last}; x = div g u; return x") for last in (3, 6, 10, 40, 100)]
    made += [update(f"u = sub {last} t; x = where u g 0; return x") for last in (3, 7, 10, 40)]
    assert len({found.key for each in made if (found := fingerprint(each))}) == len(made)
