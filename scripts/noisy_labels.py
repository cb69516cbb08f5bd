"""Where does editing one's own loss serve the human? Five data sets, three kinds of noise, four starts, one table.

    python scripts/noisy_labels.py [FOLDER] [WORDS…]

It lives the studies `noisy_constants` (a grid of constant rules on seeds 1000 to 1007) and `noisy_labels` (fixed rule,
own, own with a gate on calibrated P, on seeds 0 to 7) under `runs=runs/noisy_labels`, then each data set and noise
under the constant that its grid found best, on seeds 0 to 7. What is finished is skipped, so that it goes on where it
was. WORDS such as `steps=20 seeds=4` are added to every command. It writes noisy-labels.md into FOLDER (docs/results).

The rules, written before the runs. A difference is told as + or − where its paired 95 % interval lies above or below 0
and its two-sided t test stands up to the number of cells (Holm, .05), as ( + ) or ( − ) where the interval alone does,
and as 0 otherwise. The gate sees the gain where own-gated minus fixed is + while own minus fixed is + too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from sandbox.claims.verdict import LEVEL, holm
from sandbox.measure.interval import interval, paired
from sandbox.report.read import Run, find_runs, newest_launch
from sandbox.studies import unfold
from sandbox.sweep.launch import launch

RUNS = Path("runs/noisy_labels")
H, CALIBRATED = "performance/human", "performance/calibrated"
START = ("q", "trust")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """A data set, a kind of noise and a start, with {arm: {reading: [S]}}."""

    data: str
    noise: str
    start: tuple[float, float]
    found: dict[str, dict[str, Array]]

    def difference(self, arm: str, than: str, reading: str = H) -> Array:
        """[S]: arm minus than."""
        return self.found[arm][reading] - self.found[than][reading]


def main(words: list[str]) -> None:
    """Live what is missing, and write the table."""
    folder = Path(words.pop(0)) if words and "=" not in words[0] else Path("docs/results")
    constants = best(live("study=noisy_constants", "sweep=noisy-constants", *words))
    runs, chosen = live("study=noisy_labels", "sweep=noisy-labels", *words), list[Run]()
    for (data, noise), rule in constants.items():
        chosen += live("experiment=noisy_labels/fixed", f"task=data_{data}", "label=constant", "sweep=noisy-best",
             f"task.labels._target_=sandbox.task.label_noise.{noise}",
             *(f"rule.{key}={value}" for key, value in rule.items()), *words)  # fmt: skip
    found = cells(runs, chosen)
    text = "\n".join(table(found, constants)) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "noisy-labels.md").write_text(text)
    print(text)


def live(*words: str) -> list[Run]:
    """The runs that these words launch, and no others of the sweep's name; a study is unfolded into its sweep."""
    code = launch([*unfold(words)[0], f"runs={RUNS}", "tracker=[jsonl,checkpoint]"])
    if code:
        sys.exit(code)
    return find_runs([newest_launch(RUNS)])


def of(run: Run) -> tuple[str, str]:
    """The data set and the kind of noise of a run, in short."""
    task = run.config["task"]
    source = task["source"] if isinstance(task["source"], str) else task["source"]["_target_"].rpartition(".")[2]
    names = {"load_digits": "optdigits", "load_wine": "wine", "load_breast_cancer": "breast_cancer"}
    return names.get(str(source), str(source)), task["labels"]["_target_"].rpartition(".")[2]


def best(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str, float]]:
    """{data and noise: the constant rule of the highest mean H}."""
    found: dict[tuple[str, str], tuple[float, dict[str, float]]] = {}
    for run in runs:
        human = float(run.series(H)[1][-1].mean())
        if human > found.get(of(run), (-np.inf, {}))[0]:
            found[of(run)] = human, {key: run.config["rule"][key] for key in ("lr", *START)}
    return {key: rule for key, (_, rule) in found.items()}


def cells(runs: Sequence[Run], constants: Sequence[Run]) -> list[Cell]:
    """Every cell, each with the arm `constant` that its data set and noise share."""
    shared = {of(run): last(run) for run in constants}
    made: dict[tuple[str, str, tuple[float, float]], dict[str, dict[str, Array]]] = {}
    for run in runs:
        start = tuple(run.config["rule"][key] for key in START)
        made.setdefault((*of(run), start), {"constant": shared[of(run)]})[run.label] = last(run)
    return [Cell(*key, found) for key, found in made.items()]


def last(run: Run) -> dict[str, Array]:
    """{reading: [S]} at the end of a run."""
    return {name: run.series(name)[1][-1] for name in (H, CALIBRATED, "performance/process")}


COMPARED = {"own − fixed": ("own", "fixed", H), "own − best constant": ("own", "constant", H),
            "gated − fixed": ("own_gated", "fixed", H),
            "P calibrated, own − fixed": ("own", "fixed", CALIBRATED)}  # fmt: skip


def table(found: Sequence[Cell], constants: dict[tuple[str, str], dict[str, float]]) -> Iterator[str]:
    """The table in Markdown, with the counts above it."""
    signs = {name: signed([cell.difference(*words) for cell in found]) for name, words in COMPARED.items()}
    yield from ("# Noisy labels over any data", "")
    yield (f"{len(found)} cells: data, noise and start (q, trust; lr .3), "
           f"{len(found[0].found['own'][H])} seeds each, H is accuracy on clean labels of test rows. A sign tells a "
           "difference whose 95 % interval, paired by seed, excludes 0 and which stands up to the number of cells "
           "(Holm); in brackets, the interval alone. The best constant of a data set and noise was chosen on seeds "
           "1000 to 1007 from lr .1, .3, 1, q .05, .4, .7, .95 at trust .1. Made by "
           "`python scripts/noisy_labels.py`, whose head has the rules.")  # fmt: skip
    yield ""
    yield from ("| difference | + | ( + ) | 0 | ( − ) | − |", "|---|---|---|---|---|---|")
    for name, said in signs.items():
        yield f"| {name} | " + " | ".join(str(said.count(sign)) for sign in ("+", "( + )", "0", "( − )", "−")) + " |"
    seen = sum(gated == "+" for gated, own in zip(signs["gated − fixed"], signs["own − fixed"], strict=True)
               if own == "+")  # fmt: skip
    yield from ("", f"Of the {signs['own − fixed'].count('+')} cells in which own gains, the gate sees {seen}.", "")
    yield "| data | noise | q, trust | H fixed | " + " | ".join(COMPARED) + " | best constant: lr, q, trust |"
    yield "|---" * (5 + len(COMPARED)) + "|"
    for place, cell in enumerate(found):
        told = [f"{signs[name][place]} {figure(*words, cell=cell)}" for name, words in COMPARED.items()]
        rule = ", ".join(f"{value:g}" for value in constants[cell.data, cell.noise].values())
        yield (f"| {cell.data} | {cell.noise} | {cell.start[0]:g}, {cell.start[1]:g} | "
               f"{interval(cell.found['fixed'][H]).mean:.3f} | {' | '.join(told)} | {rule} |")  # fmt: skip


def figure(arm: str, than: str, reading: str, *, cell: Cell) -> str:
    """A difference and its interval."""
    found = paired(cell.found[arm][reading], cell.found[than][reading])
    return f"{found.mean:+.3f} [{found.low:.3f}, {found.high:.3f}]".replace("-", "−")


def signed(differences: Sequence[Array]) -> list[str]:
    """The sign of each by the rules above."""
    p = [1.0 if np.ptp(values) == 0 else cast(Any, ttest_1samp(values, 0)).pvalue for values in differences]
    signs: list[str] = []
    for values, corrected in zip(differences, holm(p), strict=True):
        sign = {1: "+", -1: "−", 0: "0"}[interval(values).sign]
        signs.append(sign if corrected <= LEVEL or sign == "0" else f"( {sign} )")
    return signs


if __name__ == "__main__":
    main(sys.argv[1:])
