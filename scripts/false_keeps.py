"""How often editors of programs keep what changes nothing, through the whole loop: their own proposals, screens and
archives, the gate's verdicts, 100 asked edits a run. The learning rate is 0, so every program is as good as any other;
candidates live on streams of their own, on practice as at the gate, so only luck tells them apart, and a search asks
for the luckiest of each step.

The rule, set before the run: a gate holds if the exact 95 % interval of its share of runs with a false keep reaches
down to the level that it states for a run (paired_t with harmonic spending: .05). Seeds 0 to runs - 1.

scripts/false_keeps.py [runs=32] [edits=100]
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import torch

from sandbox.check import Share
from sandbox.compose import composed
from sandbox.core.protocols import Gate
from sandbox.core.record import Verdict
from sandbox.experiment import build_loop
from sandbox.gate.better import Better
from sandbox.gate.paired_t import PairedT
from sandbox.loop.reflect import Loop

WORLD = ["preset=loss_search", "rule.lr=0", "horizon=1", "tasks=1", "meter=[]", "tracker=[]"]
EDITORS = {
    "search": ["meta_learner.population=4", "meta_learner.proposals=8", "meta_learner.capacity=512"],
    "proposer (scripted)": ["meta_learner=proposer", "meta_learner.model=scripted", "meta_learner.most=512"],
}
GATES: dict[str, Gate] = {
    "paired_t, harmonic, .05 a run": PairedT(),
    "paired_t, none, .05 an edit": PairedT(spending="none"),
    "better": Better(),
}


def main(runs: int, edits: int) -> None:
    """Print one line an editor and gate."""
    torch.set_num_threads(1)
    print(f"{runs} runs; asked edits are counted up to {edits} steps")
    print("| editor | gate | asked edits | kept | runs with a false keep | 95 % interval | seconds |")
    print("|---|---|---|---|---|---|---|")
    for editor, words in EDITORS.items():
        loop = replace(build_loop(composed([*WORLD, *words])), unpaired=True, check=False)
        for name, gate in GATES.items():
            began = time.monotonic()
            asked, kept = counted(loop, gate, runs, edits)
            share = Share(int((kept > 0).sum()), runs, None)
            low, high = share.interval
            print(f"| {editor} | {name} | {int(asked.sum())} | {int(kept.sum())} | {share.accepts} of {runs} "
                  f"| {low:.3f} to {high:.3f} | {time.monotonic() - began:.0f} |", flush=True)  # fmt: skip


def counted(loop: Loop, gate: Gate, runs: int, edits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Edits that were judged, and those of them that were kept, of each run [runs]."""
    loop = replace(loop, levels=(replace(loop.levels[0], gate=gate),))
    asked, kept = torch.zeros(2, runs, dtype=torch.int64)
    for record in loop.run(range(runs), edits):
        kept += torch.tensor([verdict is Verdict.ACCEPTED for verdict in record.verdict])
        asked += torch.tensor([verdict in (Verdict.ACCEPTED, Verdict.REJECTED) for verdict in record.verdict])
    return asked, kept


if __name__ == "__main__":
    settings = dict(word.split("=") for word in sys.argv[1:])
    main(int(settings.get("runs", 32)), int(settings.get("edits", 100)))
