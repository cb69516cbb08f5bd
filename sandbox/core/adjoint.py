"""How a horizon is differentiated: an argument of whoever asks for a derivative, never a mode of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.core.error import ConfigError, explain


@dataclass(frozen=True)
class Adjoint:
    """The tape of a horizon; where `Adjoint | None` stands, None records nothing.

    `first_order`: inner gradients count as constants, as in first-order MAML (Finn et al. 2017, section 5.2).
    `truncate`: the graph through weights and slots is cut every so many inner steps of level 1's horizon, counted from
    its end (0: never), as in truncated backpropagation through time (Williams & Peng 1990). `checkpoint`: only the
    states between segments of so many inner steps are kept, and each segment is lived again on the way back (0:
    everything is kept); the derivative is the same (Griewank & Walther 2000).
    """

    first_order: bool = False
    truncate: int = 0
    checkpoint: int = 0

    def __post_init__(self) -> None:
        if min(self.truncate, self.checkpoint) < 0:
            raise ConfigError(explain(expected="adjoint.truncate and adjoint.checkpoint of 0 or more",
                                      got=f"{self.truncate} and {self.checkpoint}", do="0 is without."))  # fmt: skip


FULL = Adjoint()


def widest(above: Adjoint | None, own: Adjoint | None) -> Adjoint | None:
    """The tape that serves both: what either of the two may not lose is recorded. (Levels that both differentiate must
    agree on what is left out: `loop/check.py`.) What two levels differentiate is kept
    whole, for a checkpoint has no second derivative."""
    if above is None or own is None:
        return above or own
    cut = 0 if 0 in (above.truncate, own.truncate) else max(above.truncate, own.truncate)
    return Adjoint(above.first_order and own.first_order, cut)
