"""What an instrument says to input that it can't measure."""

from __future__ import annotations


class MeasureError(ValueError):
    """A mistake in what was handed to an instrument, told in one message: expected, got, what to do."""


def wrong(*, expected: str, got: str, do: str) -> MeasureError:
    """The error to raise, in its one form."""
    return MeasureError(f"expected {expected}; got {got}. {do}")
