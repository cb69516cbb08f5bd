"""Learning systems that may edit how they learn, run, judged, recorded and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.runs import Run as Run
    from sandbox.runs import Runs as Runs
    from sandbox.runs import load as load
    from sandbox.runs import run as run

__all__ = ["Run", "Runs", "load", "run"]


def __getattr__(name: str) -> Any:
    """What is asked for is imported then: torch takes a second."""
    if name not in __all__:
        raise AttributeError(f"module 'sandbox' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("sandbox.runs"), name)
