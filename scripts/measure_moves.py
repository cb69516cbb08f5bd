"""What becomes of moves and of random programs before a life: which share ends at each stage of the cascade.

    python scripts/measure_moves.py [draws]

For each kind of program, moves of random programs (2000 each, unless `draws` says otherwise) and random programs
themselves: the share that changes nothing, whose canonical text is the parent's, that act as the parent does or are not
finite on the probes, that can't teach, and that would live.
"""

from __future__ import annotations

import sys
from collections import Counter

from sandbox.core.random import uniform
from sandbox.program.canonical import canonical
from sandbox.program.descent import fault
from sandbox.program.draft import drafted
from sandbox.program.fingerprint import fingerprint
from sandbox.program.language import BY_SIGNATURE
from sandbox.program.moves import MOVES, UNIFORMS, mutated, random_program
from sandbox.program.program import Program

ENDS = ("same", "canonical", "fingerprint", "not finite", "sign", "lives")


def end(program: Program, parent: Program | None) -> str:
    """Where a program ends that was made of a parent, or of nothing."""
    if parent is not None and program == drafted(parent).made():
        return "same"
    if parent is not None and canonical(program) == canonical(parent):
        return "canonical"
    found = fingerprint(program)
    if found is None:
        return "not finite"
    if parent is not None and found == fingerprint(parent):
        return "fingerprint"
    return "sign" if fault(program) else "lives"


def main(draws: int) -> None:
    """Print a row for each kind of program and move."""
    print(f"{'':<28}{'draws':>7}" + "".join(f"{name:>13}" for name in ENDS))
    for kind in BY_SIGNATURE:
        ends: dict[str, Counter[str]] = {name: Counter() for name in ("random", *MOVES)}
        for k in range(draws):
            parent, other = (random_program(kind, uniform(0, f"{name} {kind}", k, (UNIFORMS,)))
                             for name in ("parent", "other"))  # fmt: skip
            name, after = mutated(parent, other, uniform(0, f"move {kind}", k, (UNIFORMS,)))
            ends[name][end(after, parent)] += 1
            ends["random"][end(parent, None)] += 1
        for name, found in ends.items():
            total = max(found.total(), 1)
            print(f"{kind + ', ' + name:<28}{total:>7}" + "".join(f"{found[each] / total:>13.3f}" for each in ENDS))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
