"""How far a reading of M may be off, and where it says nothing at all."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sandbox.measure.jumps import Unseen

NAMES = ("outer", "inner")


def error_of_m(norms: Tensor, errors: Tensor) -> float:
    """The most that M of block `norms` [2, 2] (rows outer and inner) may be off, where each norm is off by at most its
    `errors` [2, 2]: all four in the worst direction."""
    most, least = norms + errors, (norms - errors).clamp(min=0)
    here, high, low = _merged(norms, norms), _merged(most, least), _merged(least, most)
    return max(high - here, here - low)


def _merged(cross: Tensor, straight: Tensor) -> float:
    """M, with its off-diagonal norms of one table and its diagonal ones of another."""
    over, beside = float(cross[0, 1] * cross[1, 0]), float(straight[0, 0] * straight[1, 1])
    return over / (over + beside) if over + beside > 0 else 0.0


def blindness(norms: Tensor, errors: Tensor, found: Iterable[Unseen], divergence: float, least: float) -> str:
    """Why M isn't to be believed at this state, in words, or "".

    `norms`, `errors` [2, 2] of the blocks of K, `found` by moving the state farther, and the `divergence` LCD_k of the
    course, which counts where it is more than `least`. A block that is not seen, though its influence is there,
    matters where the loop would be closed with it.
    """
    seen = norms > errors
    if not bool(seen[0, 1]) and divergence > least:
        return (
            "M is blind here: K_oi can't be told from 0, yet the outer's course answers to the inner "
            f"(LCD {divergence:.3g}), by jumps, by whole numbers or farther on; believe LCD"
        )
    hidden = {(one.target, one.source): one for one in found}
    loop = all(bool(seen[block]) or block in hidden for block in ((0, 1), (1, 0)))
    faults = [one for block, one in hidden.items() if _matters(one, bool(seen[block]))]
    if not loop or not faults:
        return ""
    told = ", ".join(f"the {NAMES[one.target]} answers {_other(one)} by {one.kind}" for one in faults)
    told = told.replace("by 0 at this very state", "farther on, with a derivative that is 0 at this very state")
    return f"M is blind here: {told}, which no derivative sees; believe LCD, over enough steps"


def _other(one: Unseen) -> str:
    return "itself" if one.source == one.target else f"the {NAMES[one.source]}"


def _matters(one: Unseen, seen: bool) -> bool:
    """Jumps always do, the rest where the block has no derivative; of whole numbers only those of the other side."""
    if one.kind in ("jumps", "steps too fine for derivatives", "a kink at this very state"):
        return True
    return not seen and (one.kind != "whole numbers" or one.source != one.target)


def uncertain(m: float, error: float) -> str:
    """A word where the error of M is no longer small."""
    return f"M is {m:.2f} ± {error:.2f}: derivatives can't tell it here; believe LCD" if error > 0.05 else ""


def total(norms: Iterable[Tensor]) -> Tensor:
    """[2, 2]: the four norms of a `Coupling`, outer_outer first, as a table."""
    return torch.stack([norm.double() for norm in norms]).reshape(2, 2)
