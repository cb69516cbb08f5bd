"""The trials of one sampler, as a study of Optuna's in a journal: a function of what the journal says and nothing else.

A sampler is made anew for each number that is drawn, seeded by the trial and by the number's place in it. So a search
that was killed and goes on draws what it would have drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.sweep.space import Space

SAMPLERS = {"tpe": 0, "random": 1}  # each draws from streams of its own
UNPRUNED = 4  # trials that end before any is pruned
UNJUDGED = 0.25  # the part of a trial in which it isn't pruned: what begins slowly may end well


@dataclass(frozen=True)
class Trials:
    """`study`: Optuna's; `sampler`: a name in `SAMPLERS`; `most`: how many trials there are to be; `together`: how many
    are lived at a time; `seed`: of all that is drawn."""

    study: Any
    space: Space
    sampler: str
    most: int
    together: int
    seed: int

    def batch(self) -> list[Any]:
        """The trials to be lived next: those that were begun and never told, and as many new ones as belong to their
        batch; none where all have been told.

        Batches are cut by the numbers of the trials, so that a search that goes on has those that it would have had.
        """
        import optuna

        known = self.study.get_trials(deepcopy=False)
        begun = [optuna.trial.Trial(self.study, one._trial_id) for one in known if not one.state.is_finished()]
        whole, rest = divmod(len(known), self.together)
        end = (whole + bool(rest or not begun)) * self.together
        for _ in range(len(known), min(end, self.most)):
            begun.append(self.study.ask())
        return begun

    def words(self, trial: Any) -> list[str]:
        """The words by which a trial differs from the others; drawn once, and then what the journal has."""
        found = list[str]()
        for place, (key, axis) in enumerate(self.space.axes.items()):
            self.study.sampler = self._sampler(trial.number, place)
            found.append(f"{key}={axis.ask(trial, key)}")
        return found

    def _sampler(self, number: int, place: int) -> Any:
        import optuna

        words = np.random.SeedSequence([self.seed, SAMPLERS[self.sampler], number, place]).generate_state(1)
        if self.sampler == "random":
            return optuna.samplers.RandomSampler(seed=int(words[0]))
        return optuna.samplers.TPESampler(seed=int(words[0]), constant_liar=True)

    def tell(self, trial: Any, value: float | None, course: Sequence[tuple[int, float]], cut: int | None) -> None:
        """What became of a trial: its value, None where it failed; `course`: (step, reading) on the way, as far as it
        may count; `cut`: the step at which it was pruned, if it was."""
        import optuna

        said = self._known(trial.number).intermediate_values
        for step, reading in course:
            if step not in said and (cut is None or step <= cut):
                trial.report(reading, step)
        if cut is not None:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif value is None or not np.isfinite(value):
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self.study.tell(trial, value)

    def cut(self, number: int, course: Sequence[tuple[int, float]]) -> int | None:
        """The first step of a course at which the trial is worse than the median of those that went as far; None where
        it never is. A function of the course alone, whoever looks and whenever."""
        trial = self._known(number)
        trial.intermediate_values = {}
        for step, reading in course:
            trial.intermediate_values[step] = reading
            if self.study.pruner.prune(self.study, trial):
                return step
        return None

    def _known(self, number: int) -> Any:
        return next(one for one in self.study.get_trials() if one.number == number)

    def counts(self) -> dict[str, int]:
        """How many trials there are, how many failed, and how many were pruned."""
        states = [one.state.name for one in self.study.get_trials(deepcopy=False)]
        return {"trials": len(states), "failed": states.count("FAIL"), "pruned": states.count("PRUNED")}

    def best(self) -> tuple[float, list[str]] | None:
        """The value and the words of the best trial; None where none was lived to its end."""
        told = [one for one in self.study.get_trials(deepcopy=False) if one.state.name == "COMPLETE"]
        if not told:
            return None
        best = self.study.best_trial
        axes = self.space.axes
        return best.value, [f"{key}={_spelt(best.params[key])}" for key in axes]


def _spelt(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def check_sampler(name: str, at: str) -> None:
    """Raises `ConfigError` for a sampler that there isn't."""
    if name not in SAMPLERS:
        raise ConfigError(explain(expected=f"a sampler at {at}: {' or '.join(SAMPLERS)}", got=f"'{name}'",
                                  do=did_you_mean(name, list(SAMPLERS))))  # fmt: skip


def opened(journal: Path, name: str, *, maximize: bool, steps: int) -> Any:
    """The study of that name in a journal, begun where there is none; a trial has `steps`. Nobody else may have the
    journal open: what a killed process left half-written in it, and its lock, is taken away."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if journal.exists():
        text = journal.read_bytes()
        if not text.endswith(b"\n"):
            journal.write_bytes(text[: text.rfind(b"\n") + 1])
    for lock in journal.parent.glob(f"{journal.name}.*"):
        lock.unlink()
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))), study_name=name, load_if_exists=True,
        direction="maximize" if maximize else "minimize",
        pruner=optuna.pruners.MedianPruner(UNPRUNED, n_warmup_steps=round(steps * UNJUDGED)))  # fmt: skip
