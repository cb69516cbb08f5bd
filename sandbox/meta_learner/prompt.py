"""What a proposer of programs is told, in words: the language, the task, what stands, what was tried and came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from sandbox.meta_learner.proposals import VERDICTS, Entry
from sandbox.program.answer import FORM
from sandbox.program.guide import grammar
from sandbox.program.program import Program
from sandbox.program.text import write

ROLE = """You improve how a small network learns, by proposing programs that take the place of its loss or of its
update rule. Each proposal is tried against what stands now, in fresh lives that neither you nor the program can see; it
is kept only if it does better there. A score is the mean error in such lives: lower is better."""
MOST = 2000  # characters of an answer that its author is shown again

Message = dict[str, str]


def prompt(about: str, now: Mapping[str, Program], known: Sequence[Entry], faults: Sequence[str],
           shown: int) -> list[Message]:  # fmt: skip
    """The first messages of a conversation. `now` {path: the program that stands}; `known` proposals, of which the best
    and the latest are `shown`."""
    system = [ROLE, grammar([program.form for program in now.values()]), FORM.format(name=names(now)[0])]
    parts = [f"The task: {about.strip()}"] if about.strip() else []
    for name, program in zip(names(now), now.values(), strict=True):
        parts.append(f"What stands now, called `{name}`:\n{fenced(program)}")
    parts += [_told(entry) for entry in selected(known, shown)]
    if faults:
        parts.append("Lately these answers were of no use:\n" + "\n".join(f"- {fault}" for fault in faults))
    parts.append("Propose one program that differs from all of these.")
    return [{"role": "system", "content": "\n\n".join(system)}, {"role": "user", "content": "\n\n".join(parts)}]


def again(words: str, fault: str) -> list[Message]:
    """An answer that was of no use, and why, as the next messages."""
    reply = f"That can't be taken: {fault}\nMend it, or propose another program."
    return [{"role": "assistant", "content": words[:MOST] or "(nothing)"}, {"role": "user", "content": reply}]


def selected(known: Sequence[Entry], shown: int) -> list[Entry]:
    """The best by what the gate measured, and the latest, half each, in the order of their numbers."""
    measured = sorted(known, key=lambda entry: inf if entry.candidate is None else entry.candidate)
    best = measured[: (shown + 1) // 2]
    latest = [entry for entry in reversed(known) if entry not in best][: shown - len(best)]
    return sorted([*best, *latest], key=lambda entry: entry.id)


def names(now: Mapping[str, Program]) -> list[str]:
    """What the programs that stand are called in a change."""
    return [path.removeprefix("rule/") for path in now]


def called(number: int) -> str:
    """What a proposal is called in a change."""
    return f"#{number}"


def fenced(program: Program) -> str:
    """The text of a program between fences."""
    return f"```\n{write(program)}\n```"


def _told(entry: Entry) -> str:
    origin = f", a change of {called(entry.parent)}" if entry.parent else ""
    said = VERDICTS[entry.verdict]
    if entry.candidate is not None:
        said += f"; it scored {entry.candidate:.4g}, what stood then {entry.incumbent:.4g}"
    return f"Program {called(entry.id)}{origin}: {said}.\n{fenced(entry.program)}"
