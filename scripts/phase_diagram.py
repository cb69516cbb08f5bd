"""The phase diagram: trust x timescale ratio x allow-list -> what becomes of H, P and A, and how far two are one.

    python scripts/phase_diagram.py [FOLDER] [WORDS…]

It lives the study `phase` under `runs=runs/phase` (what is finished is skipped) and writes phase.png and phase.md into
FOLDER (docs/results). WORDS such as `steps=20 seeds=2` are added to the command.

Written before the runs. Of each seed the distances d(H, P), d(P, A) and d(H, A), read every ten steps, go to
`sandbox.measure.convergence.outcome` with a threshold of .3 (a rank correlation of .82; rank-chord distances of 128
agents scatter by .03, and no arm of a trial came below .1); a seed whose scale ends below a hundredth of where it
began is called frozen. A cell's class is that of most seeds, mixed where two have as many; its share is told. Over
the panel in which nothing may be edited stands the closed form of M.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sandbox.measure.convergence import outcome
from sandbox.measure.interval import interval, paired
from sandbox.report.read import Run, find_runs, newest_launch
from sandbox.report.style import FAINT, INK, PALETTE, STYLE
from sandbox.studies import unfold
from sandbox.sweep.launch import launch

RUNS = Path("runs/phase")
THRESHOLD, FROZEN = 0.3, 0.01
LISTS = {"none": "nothing", "q": "q", "lr_q": "lr, q", "trust": "trust", "lr_trust_q": "lr, trust, q",
         "scale": "lr, trust, q, scale"}  # fmt: skip
CLASSES = {"aligned merge": PALETTE[2], "string": PALETTE[0], "collusive merge": PALETTE[1], "failure": "#8d949e",
           "frozen": "#56b4e9", "cycle": PALETTE[3], "divergence": PALETTE[4], "mixed": "#e3dccb"}  # fmt: skip
LEGS = ("distance/human_process", "distance/process_agent", "distance/human_agent")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """An allow-list, a trust at the start and a teacher's rate: the class of most seeds and its share, and {reading:
    [S]} at the end."""

    edits: str
    trust: float
    rate: float
    outcome: str
    share: float
    last: dict[str, Array]

    def mean(self, reading: str) -> float:
        """Over seeds."""
        return float(self.last[reading].mean())


def main(words: list[str]) -> None:
    """Live what is missing; write figure and table."""
    folder = Path(words.pop(0)) if words and "=" not in words[0] else Path("docs/results")
    sweep = unfold(["study=phase"])[0]
    code = launch([*sweep, f"runs={RUNS}", "sweep=phase", "tracker=[jsonl,checkpoint]", *words])
    if code:
        sys.exit(code)
    runs = find_runs([newest_launch(RUNS)])  # of this launch alone: a trial of the same name is another sweep
    found, horizon = [cell(run) for run in runs], runs[0].config["horizon"]
    folder.mkdir(parents=True, exist_ok=True)
    draw(found, horizon, folder / "phase.png")
    (folder / "phase.md").write_text("\n".join(table(found, horizon)) + "\n")
    print((folder / "phase.md").read_text())


def cell(run: Run) -> Cell:
    """What became of a run."""
    rule = run.config["rule"]
    names = ("performance/human", "teacher/m", "teacher/null", "separability/mi", "separability/lcd", "rule/trust",
             "rule/scale")  # fmt: skip
    last = {name: run.series(name)[1][-1] for name in names}
    began = run.series("rule/scale")[1][0]
    legs = np.stack([run.series(name)[1] for name in LEGS])  # [3, readings, S]
    classes = [
        "frozen" if last["rule/scale"][seed] < FROZEN * began[seed] else outcome(legs[:, :, seed], threshold=THRESHOLD)
        for seed in range(len(run.seeds))
    ]
    (name, count), *others = Counter(classes).most_common()
    tied = bool(others) and others[0][1] == count
    return Cell(run.label, rule["trust"], rule["teacher_rate"], "mixed" if tied else name, count / len(classes), last)


def closed_form(trust: float, rate: float, horizon: int) -> float:
    """M of a fixed rule: t a / (1 - t + 2 t a), a the share of a step that the teacher leaves unaveraged."""
    a = (1 - (1 - rate) ** horizon) / (rate * horizon)
    return trust * a / (1 - trust + 2 * trust * a)


def draw(found: Sequence[Cell], horizon: int, path: Path) -> None:
    """A panel an allow-list: colour is the class, the number M at the end, bold where its interval is above its null's
    mean; the top left panel has the closed form of M as contours."""
    trusts, rates = sorted({one.trust for one in found}), sorted({one.rate for one in found})
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(11.5, 7.4), layout="constrained")
        for axes, (name, title) in zip(figure.subplots(2, 3).flat, LISTS.items(), strict=True):
            for one in (one for one in found if one.edits == name):
                x, y = trusts.index(one.trust), rates.index(one.rate)
                axes.bar(x, 1, 1, bottom=y - 0.5, color=CLASSES[one.outcome], alpha=0.2 + 0.6 * one.share, zorder=0)
                merged = paired(one.last["teacher/m"], one.last["teacher/null"]).sign > 0
                axes.text(x, y, f"{one.mean('teacher/m'):.2f}\nH {one.mean('performance/human'):.2f}", ha="center",
                          va="center", fontsize=7, color=INK, weight="bold" if merged else "normal")  # fmt: skip
            if name == "none":
                form = [[closed_form(t, r, horizon) for t in trusts] for r in rates]
                lines = axes.contour(range(len(trusts)), range(len(rates)), form, levels=[0.1, 0.2, 0.3, 0.4],
                                     colors=INK, linewidths=0.9)  # fmt: skip
                axes.clabel(lines, fontsize=7)
            axes.set(title=f"may edit: {title}", xlim=(-0.5, len(trusts) - 0.5), ylim=(-0.5, len(rates) - 0.5),
                     xlabel="trust at the start", ylabel="teacher's rate an inner step")  # fmt: skip
            axes.set_xticks(range(len(trusts)), [f"{trust:g}" for trust in trusts])
            axes.set_yticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        there = [name for name in CLASSES if any(one.outcome == name for one in found)]
        figure.legend(handles=[Patch(color=CLASSES[name], label=name) for name in there], ncols=len(there),
                      loc="outside lower center", frameon=False)  # fmt: skip
        figure.suptitle("What becomes of human, process and agent\n", x=0.01, ha="left", weight="bold")
        figure.text(0.01, 0.955, "Colour: class of most seeds, the paler the fewer. Numbers: M of the teacher at the "
                    "end (bold: above its random-partition null) and H. Lines: closed form of M where nothing is "
                    "edited.", fontsize=8, color=FAINT)  # fmt: skip
        figure.savefig(path)


def table(found: Sequence[Cell], horizon: int) -> Iterator[str]:
    """Every cell in Markdown, and how far the closed form is from M where nothing is edited."""
    still = [one for one in found if one.edits == "none"]
    errors = [abs(one.mean("teacher/m") - closed_form(one.trust, one.rate, horizon)) for one in still]
    yield from ("# The phase diagram, cell by cell", "")
    yield (f"{len(found)} cells, {len(found[0].last['teacher/m'])} seeds each; made by `python "
           "scripts/phase_diagram.py`, whose head has the rules. Where nothing is edited, the closed form of M is off "
           f"by {max(errors, default=0):.3f} at most.")  # fmt: skip
    yield ""
    yield from ("| may edit | " + " | ".join(CLASSES) + " |", "|---" * (1 + len(CLASSES)) + "|")
    for name, title in LISTS.items():
        counts = Counter(one.outcome for one in found if one.edits == name)
        yield f"| {title} | " + " | ".join(str(counts[one]) for one in CLASSES) + " |"
    yield ""
    yield "| may edit | trust | rate | class (share) | H | trust at the end | M | its null | MI | LCD |"
    yield "|---" * 10 + "|"
    for one in found:
        human = interval(one.last["performance/human"])
        m, null, mi, lcd, trust = (one.mean(name) for name in ("teacher/m", "teacher/null", "separability/mi",
                                                               "separability/lcd", "rule/trust"))  # fmt: skip
        yield (f"| {LISTS[one.edits]} | {one.trust:g} | {one.rate:g} | {one.outcome} ({one.share:.2f}) | "
               f"{human.mean:.3f} [{human.low:.3f}, {human.high:.3f}] | {trust:.2f} | {m:.2f} | {null:.2f} | "
               f"{mi:.2f} | {lcd:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
