"""`sandbox search`: a sweep whose jobs are drawn as it goes, by Optuna, beside as many drawn at random.

Each trial is an ordinary run, lived by whatever launcher there is. The journal lies beside the runs: the same command
goes on after whatever ended the search, tells nothing twice, and draws what it would have drawn.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from sandbox.compose import as_typed, composed
from sandbox.config import build
from sandbox.core.error import ConfigError, SandboxError, did_you_mean, explain
from sandbox.core.reading import Reading
from sandbox.experiment import build_loop
from sandbox.fit import fit
from sandbox.identity import chosen, identity, trusted
from sandbox.lines.launch import Plan, append, entries, key_of, read_plan, write_plan
from sandbox.lines.place import free
from sandbox.lines.readings import described
from sandbox.lines.whole import write_whole
from sandbox.report.read import PROCESS, read_run
from sandbox.report.readings import OWN
from sandbox.sweep.outcome import Held, Outcome, told
from sandbox.sweep.processes import know, whole
from sandbox.sweep.pruning import course, pruned
from sandbox.sweep.space import Space, space_of
from sandbox.sweep.trials import Trials, check_sampler, opened

SEARCHES, JOURNAL, ASKED, RESULT = "searches", "journal.log", "search.json", "result.json"
SETTINGS = ("trials", "n_jobs", "sampler", "against", "sampler_seed", "direction", "prune", "held_out")
TRIES = 2  # times that a trial of which nothing came is lived before the search stops
DIRECTIONS = {"lower": "minimize", "higher": "maximize"}


@dataclass(frozen=True)
class Ended:
    """A job that has ended: its words, its value and its folder, as far as it has them; `lost`: whether nothing came of
    it, not even an error of its own."""

    words: tuple[str, ...]
    value: float
    folder: Path | None
    lost: bool = False


class Search(Sweeper):
    """Its settings are those of conf/hydra/sweeper/search.yaml."""

    def __init__(self, trials: int = 20, n_jobs: int | None = None, sampler: str = "tpe",
                 against: str | None = "random", sampler_seed: int = 0, direction: str | None = None,
                 prune: str | None = None, held_out: int = 8) -> None:  # fmt: skip
        self.trials, self.n_jobs, self.sampler, self.against = trials, n_jobs, sampler, against
        self.sampler_seed, self.direction, self.prune, self.held_out = sampler_seed, direction, prune, held_out
        self.jobs = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.threads, self.loader = max(1, whole(config.get("threads", 1))), hydra_context.config_loader
        sources = [one for one in config.hydra.runtime.config_sources if "command-line" in one.provider]
        self.folders = [f"hydra.searchpath=[{one.schema}://{one.path}]" for one in sources]
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, config=config,
                                                                task_function=task_function)  # fmt: skip
        self.manifest = Path(str(config["launch"]))

    def sweep(self, arguments: list[str]) -> float:
        """The best value that was found; NaN where there is none. Errors are told in the manifest."""
        try:
            plan = read_plan(self.manifest)
            assert plan is not None
            folder = self.manifest.parent.parent / SEARCHES / plan.sweep
            folder.mkdir(parents=True, exist_ok=True)
            with free(folder) as mine:
                if not mine:
                    raise ConfigError(explain(expected=f"nobody else at the search '{plan.sweep}'", got="a process",
                                              do="Wait for it, or name another: sweep=NAME."))  # fmt: skip
                return self._searched(folder, plan, space_of(arguments, self.loader))
        except SandboxError as error:
            append(self.manifest, {"job": 0, "label": "search", "error": str(error)})
            return math.nan

    def _searched(self, folder: Path, plan: Plan, space: Space) -> float:
        self._check(space)
        config = composed([*self.folders, *space.fixed, *_first(space)])
        identity(config)  # which refuses what no trial could be built from
        fit(config | {"check": "off"}, build_loop(config), build_loop)  # and this what none could live
        reading = _objective(config)
        goal = self._goal(reading)
        space = replace(space, fixed=(*_without(space.fixed, "objective"), f"objective={reading.name}"))
        together = self._agreed(folder, space, goal)
        self.plan = replace(plan, varies=space.keys)
        outcomes = list[Outcome]()
        others = [self.against] if self.against and self.against != self.sampler else []
        for name in [self.sampler, *others]:
            study = opened(folder / JOURNAL, name, maximize=goal == "maximize", steps=config["steps"])
            trials = Trials(study, space, name, self.trials, together, self.sampler_seed)
            lost = Counter[int]()
            while batch := trials.batch():
                lost.update(self._live(trials, batch, config["steps"]))
                if max(lost.values(), default=0) >= TRIES:
                    raise SandboxError(
                        f"the {name} search stops: of trial {lost.most_common(1)[0][0]} nothing came, "
                        "twice (its process was killed, or none was begun); the same command goes on"
                    )
            outcomes.append(Outcome(name, **trials.counts(), best=trials.best()))
        held = self._held_out(config, space, reading, outcomes)
        table = told(plan, space, reading, goal, outcomes, held)
        write_whole(folder / RESULT, json.dumps([asdict(one) for one in outcomes], indent=1).encode())
        append(self.manifest, {"job": 0, "told": table})
        return outcomes[0].best[0] if outcomes[0].best else math.nan

    # ---- before anything is lived ------------------------------------------------------------------------------------

    def _check(self, space: Space) -> None:
        check_sampler(self.sampler, "sampler")
        if self.against:
            check_sampler(self.against, "against")
        for name, least in {"trials": 1, "held_out": 0, "sampler_seed": 0, "n_jobs": 1}.items():
            value = getattr(self, name)
            if not (name == "n_jobs" and value is None) and (type(value) is not int or value < least):
                raise ConfigError(explain(expected=f"a whole number of {least} or more at {name}", got=repr(value),
                                          do=f"Set {name}={least}, say."))  # fmt: skip
        launcher = type(self.launcher).__name__
        if self.prune and launcher != "Processes":
            raise ConfigError(explain(expected="the default launcher for a search that prunes", got=launcher,
                                      do="Leave out prune, or hydra/launcher."))  # fmt: skip

    def _goal(self, reading: Reading) -> str:
        goal = self.direction or DIRECTIONS.get(reading.better, "")
        if goal not in DIRECTIONS.values():
            got = f"'{goal}'" if goal else f"{reading.name}, of which neither side is better"
            raise ConfigError(explain(expected="a direction", got=got, do="Say direction=minimize or =maximize."))
        return goal

    def _agreed(self, folder: Path, space: Space, goal: str) -> int:
        """How many trials are lived at a time. Raises `ConfigError` where what is asked for differs from what the
        search of this name was begun with: its trials would not be comparable."""
        path = folder / ASKED
        asked: dict[str, Any] = {"space": sorted(space.said), "words": sorted(as_typed(space.fixed)), "goal": goal,
                                 "sampler_seed": self.sampler_seed, "prune": self.prune}  # fmt: skip
        if not path.exists():
            cores = len(os.sched_getaffinity(0)) // self.threads
            write_whole(path, json.dumps(asked | {"together": self.n_jobs or max(1, cores)}, indent=1).encode())
        known = json.loads(path.read_text())
        differ = [key for key in asked if asked[key] != known[key]]
        if self.n_jobs and self.n_jobs != known["together"]:
            asked, differ = asked | {"n_jobs": self.n_jobs}, [*differ, "n_jobs"]
            known["n_jobs"] = known["together"]
        if differ:
            key = differ[0]
            raise ConfigError(explain(expected=f"the {key} that this search was begun with: {known[key]}",
                                      got=str(asked[key]), do="Name another search: sweep=NAME."))  # fmt: skip
        return known["together"]

    # ---- trials ------------------------------------------------------------------------------------------------------

    def _live(self, trials: Trials, batch: Sequence[Any], steps: int) -> list[int]:
        """Live these trials and tell what became of them; returns the numbers of those of which nothing came, which
        stay open: a process that was killed says nothing of what it lived."""
        jobs = {self.jobs + place: trial for place, trial in enumerate(batch)}
        words = [[*trials.space.fixed, *trials.words(trial)] for trial in batch]
        watched = pruned(trials, jobs, self.prune, self.manifest) if self.prune else nullcontext()
        with watched:
            ended = self._launch(words)
        lost = list[int]()
        for trial, one in zip(batch, ended, strict=True):
            way = course(one.folder, self.prune, steps) if self.prune and one.folder else []
            cut = trials.cut(trial.number, way)
            if one.lost and cut is None:
                lost.append(trial.number)
            else:
                trials.tell(trial, one.value, way, cut)
        return lost

    def _launch(self, words: Sequence[Sequence[str]]) -> list[Ended]:
        """Live these jobs, and say in the plan what they are."""
        self.plan = replace(self.plan, jobs=(*self.plan.jobs, *(tuple(as_typed(one)) for one in words)))
        write_plan(self.manifest, self.plan)
        first, self.jobs = self.jobs, self.jobs + len(words)
        assert self.launcher is not None
        values = [one.return_value for one in self.launcher.launch(words, initial_job_idx=first)]
        told = entries(self.manifest)
        folders = {one["job"]: Path(one["folder"]) for one in told if "folder" in one}
        failed = {one["job"] for one in told if "error" in one and one.get("state") != "killed"}
        ends = [(first + place, math.nan if value is None else float(value)) for place, value in enumerate(values)]
        return [Ended(tuple(one), value, folders.get(job), lost=math.isnan(value) and job not in failed)
                for one, (job, value) in zip(words, ends, strict=True)]  # fmt: skip

    def _held_out(self, config: dict[str, Any], space: Space, reading: Reading,
                  outcomes: Sequence[Outcome]) -> list[Held]:  # fmt: skip
        """The best of each sampler, lived on seeds that come after all those that the trials had."""
        best = [(one.sampler, one.best[1]) for one in outcomes if one.best]
        if not self.held_out or not best:
            return []
        seeds = [f"seed={config['seed'] + config['seeds']}", f"seeds={self.held_out}"]
        fixed = _without(space.fixed, "seed", "seeds")
        self.plan = replace(self.plan, varies=(*space.keys, "seed"))
        ended = self._launch([[*fixed, *words, *seeds] for _, words in best])
        found = list[Held]()
        for (sampler, _), one in zip(best, ended, strict=True):
            if one.folder is not None and math.isfinite(one.value):  # one that was not lived to its end says nothing
                at, values = read_run(one.folder).series(reading.name)
                found.append(Held(sampler, tuple(values[at <= config["steps"]][-1].tolist())))
        return found


def _first(space: Space) -> list[str]:
    """The words of some trial."""
    return [f"{key}={axis.some()}" for key, axis in space.axes.items()]


def _without(words: Sequence[str], *keys: str) -> tuple[str, ...]:
    return tuple(word for word in words if key_of(word) not in keys)


def _objective(config: dict[str, Any]) -> Reading:
    """What the search goes by: the reading that `objective` names, else P, else A. Raises `ConfigError` for one that no
    meter of these runs reads."""
    meters = [build(node, where, trust=trusted(config)) for where, node in chosen(config, "meter")]
    known = [OWN, *(reading for meter in meters for reading in meter.readings)]
    name = config.get("objective") or next((one.name for one in known if one.name == PROCESS), OWN.name)
    found = described(name, known)
    if found is None:
        raise ConfigError(explain(expected="a reading of these runs at objective", got=f"'{name}'",
                                  do=did_you_mean(name, [one.name for one in known])))  # fmt: skip
    return found


def know_search() -> None:
    """Make Hydra know of it."""
    know("sandbox_search", Search)
