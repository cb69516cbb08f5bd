"""What a proposer of programs is told, in words: the language, the task, what stands, what was tried and came of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from sandbox.meta_learner.proposals import FATES, Known
from sandbox.program.answer import FORM
from sandbox.program.archive import Fate
from sandbox.program.formulas import Formulas
from sandbox.program.guide import grammar
from sandbox.program.program import Program
from sandbox.program.text import write

ROLE = """You improve how a small network learns, by proposing programs that take the place of its loss or of its
update rule. Each proposal is tried against what stands now, in fresh lives that neither you nor the program can see; it
is kept only if it does better there. A score is the mean error in such lives: lower is better."""
MOST = 2000  # characters of an answer that its author is shown again

Message = dict[str, str]


def prompt(about: str, now: Formulas, archive: Sequence[Known], faults: Sequence[str], shown: int) -> list[Message]:
    """The first messages of a conversation. `now` stands; of the `archive` the best and the latest are `shown`."""
    programs = named(now, [])
    system = [ROLE, grammar([program.form for program in programs.values()]), FORM.format(name=next(iter(programs)))]
    parts = [f"The task: {about.strip()}"] if about.strip() else []
    stands = next((one for one in archive if one.formulas == now), None)
    for name, program in programs.items():
        parts.append(f"What stands now, called `{name}`{_accepted(stands)}:\n{fenced(program)}")
    parts += [_told(now, one) for one in selected([one for one in archive if one is not stands], shown)]
    if faults:
        parts.append("Lately these answers were of no use:\n" + "\n".join(f"- {fault}" for fault in faults))
    parts.append("Propose one program that differs from all of these.")
    return [{"role": "system", "content": "\n\n".join(system)}, {"role": "user", "content": "\n\n".join(parts)}]


def again(words: str, fault: str) -> list[Message]:
    """An answer that was of no use, and why, as the next messages."""
    reply = f"That can't be taken: {fault}\nMend it, or propose another program."
    return [{"role": "assistant", "content": words[:MOST] or "(nothing)"}, {"role": "user", "content": reply}]


def selected(archive: Sequence[Known], shown: int) -> list[Known]:
    """The best by what the gate measured, and the latest, half each, in the order of their numbers."""
    measured = sorted(archive, key=lambda one: inf if one.candidate is None else one.candidate)
    best = measured[: (shown + 1) // 2]
    latest = [one for one in reversed(archive) if one not in best][: shown - len(best)]
    return sorted([*best, *latest], key=lambda one: one.id)


def named(now: Formulas, archive: Sequence[Known]) -> dict[str, Program]:
    """Every program that may be changed, by what it is called: `loss` and `update` stand, `7` was proposed; where both
    may be edited, `7 loss`."""
    found = dict(now.programs)
    for one in archive:
        found |= {_called(one, kind): program for kind, program in one.formulas.programs}
    return found


def fenced(program: Program) -> str:
    """The text of a program between fences."""
    return f"```\n{write(program)}\n```"


def _called(one: Known, kind: str) -> str:
    return f"{one.id} {kind}" if len(one.formulas.programs) > 1 else f"{one.id}"


def _accepted(one: Known | None) -> str:
    """As what a program that stands was accepted, if it was."""
    return f", accepted as {one.id}{_scores(one)}" if one and one.fate == Fate.ACCEPTED else ""


def _scores(one: Known) -> str:
    return "" if one.candidate is None else f"; it scored {one.candidate:.4g}, what stood then {one.incumbent:.4g}"


def _told(now: Formulas, one: Known) -> str:
    """A proposal, what became of it, and as many of its programs as differ from what stands."""
    origin = f", a change of {one.parent}" if one.parent >= 0 else ""
    programs = [f"`{_called(one, kind)}`:\n{fenced(program)}" for kind, program in one.formulas.programs
                if program != now.by_kind[kind]]  # fmt: skip
    return f"Proposal {one.id}{origin}: {FATES[one.fate]}{_scores(one)}. " + "\n".join(programs)
