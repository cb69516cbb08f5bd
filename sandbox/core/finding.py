"""What a check has found of a world before its first step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One `law`, in words, and what was measured of it; `fault` says what broke it (empty: it holds), `do` what can be
    done. `note` is for the user though the law holds. `tape`: it matters only where something is differentiated through
    a life."""

    law: str
    measured: str = ""
    fault: str = ""
    do: str = ""
    tape: bool = False
    note: str = ""
