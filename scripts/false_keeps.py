"""How often editors of programs keep what changes nothing, through the whole loop: their own proposals, screens and
archives, and gates on fresh trials. The learning rate is 0, so every program is as good as any other; candidates live
on streams of their own, on practice as at the gate, so only luck tells them apart, and a search asks for the luckiest.

All gates judge the same trials; the first of them acts. That changes nothing for the others: whichever programs stand,
scores have one law.

The rule, set before the run: a gate that states a level for a run holds if the exact 95 % interval of its share of runs
with a false keep reaches down to that level. Seeds 0 to runs - 1.

scripts/false_keeps.py [runs=32] [edits=100] [only=EDITOR]
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sandbox.check import Share
from sandbox.compose import composed
from sandbox.core.protocols import Gate, Params, Score
from sandbox.core.record import Verdict
from sandbox.experiment import build_loop
from sandbox.gate.better import Better
from sandbox.gate.paired_t import PairedT

WORLD = ["preset=loss_search", "rule.lr=0", "horizon=1", "tasks=1", "meter=[]", "tracker=[]"]
EDITORS = {
    "proposer (scripted)": ["meta_learner=proposer", "meta_learner.model=scripted"],
    "program_evolution": ["meta_learner.population=8", "meta_learner.proposals=8", "meta_learner.capacity=128"],
}
GATES: dict[str, Gate] = {
    "paired_t, .05 a run": PairedT(),
    "paired_t, .05 an edit": PairedT(spending="none"),
    "better": Better(),
}


@dataclass(frozen=True)
class Panel:
    """Several gates on the same trials: the first acts, and the reason tells what each would do."""

    gates: tuple[Gate, ...]

    @property
    def trials(self) -> int:
        return max(gate.trials for gate in self.gates)

    @property
    def score(self) -> Score:
        return self.gates[0].score

    def init(self) -> Params:
        return {f"{i}.{name}": leaf for i, gate in enumerate(self.gates) for name, leaf in gate.init().items()}

    def decide(self, incumbent: Tensor, candidate: Tensor, memory: Params) -> tuple[bool, str, Params]:
        said, after = list[bool](), dict[str, Tensor]()
        for i, gate in enumerate(self.gates):
            own = {name.removeprefix(f"{i}."): leaf for name, leaf in memory.items() if name.startswith(f"{i}.")}
            accept, _, own = gate.decide(incumbent[: gate.trials], candidate[: gate.trials], own)
            said.append(bool(accept))
            after |= {f"{i}.{name}": leaf for name, leaf in own.items()}
        return said[0], json.dumps(said), after


def main(runs: int, edits: int, only: str) -> None:
    """Print one line an editor and gate."""
    torch.set_num_threads(1)
    print(f"{runs} runs of {edits} steps")
    print("| editor | gate | asked edits | kept | runs with a false keep | 95 % interval |")
    print("|---|---|---|---|---|---|")
    for editor, words in EDITORS.items():
        if not editor.startswith(only):
            continue
        asked, kept = counted(words, runs, edits)
        for name, falsely in zip(GATES, kept, strict=True):
            share = Share(int((falsely > 0).sum()), runs, None)
            low, high = share.interval
            print(f"| {editor} | {name} | {asked} | {int(falsely.sum())} | {share.accepts} of {runs} "
                  f"| {low:.3f} to {high:.3f} |", flush=True)  # fmt: skip


def counted(words: list[str], runs: int, edits: int) -> tuple[int, Tensor]:
    """How many edits were judged, and how many each gate would keep of each run [gates, runs]."""
    loop = build_loop(composed([*WORLD, *words]))
    level = replace(loop.levels[0], gate=Panel(tuple(GATES.values())))
    asked, kept = 0, torch.zeros(len(GATES), runs, dtype=torch.int64)
    for record in replace(loop, levels=(level,), unpaired=True, check=False).run(range(runs), edits):
        for run, verdict in enumerate(record.verdict):
            if verdict in (Verdict.ACCEPTED, Verdict.REJECTED):
                asked += 1
                kept[:, run] += torch.tensor(json.loads(record.why[run]))
    return asked, kept


if __name__ == "__main__":
    settings = dict(word.split("=") for word in sys.argv[1:])
    main(int(settings.get("runs", 32)), int(settings.get("edits", 100)), settings.get("only", ""))
