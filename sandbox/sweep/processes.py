"""The default launcher: so many jobs at a time, each in a process of its own, so that none can take another with it.

Hydra's own launchers are one or the other: `basic` and joblib lose the sweep with a worker that is killed, submitit's
local executor begins all jobs at once. Processes are forked from one that has imported the machinery and done nothing
else, so that a job begins in milliseconds.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from sandbox.core.error import ConfigError, explain
from sandbox.lines.launch import append, entries
from sandbox.sweep.job import lived, lost, pin, returned
from sandbox.sweep.memory import Memory

PRELOADED = ["sandbox.sweep.job", "sandbox.experiment", "sandbox.sweep.processes"]
NAMESPACE = "hydra_plugins"
GRACE = 30.0  # seconds that jobs have for a last checkpoint once they are told to end
LOOK = 0.5  # seconds between two looks at how much memory a job holds


@dataclass
class Job:
    """A job that is being lived. `line`: what it sends its value by; `alive`: closed when this process ends, so that it
    knows; `most`: the most bytes of memory that it was seen to hold."""

    number: int
    words: Sequence[str]
    process: Any
    line: Connection
    alive: Connection
    most: int = 0


class Processes(Launcher):
    """`n_jobs`: jobs at a time, null for one a core; `fail_fast`: begin no further job once one has failed."""

    def __init__(self, n_jobs: int | None = None, fail_fast: bool = False) -> None:
        if n_jobs is not None and (type(n_jobs) is not int or (n_jobs < 1 and n_jobs != -1)):
            raise ConfigError(explain(expected="a whole number of 1 or more at hydra.launcher.n_jobs", got=repr(n_jobs),
                                      do="Leave it out: one job a core."))  # fmt: skip
        self.n_jobs, self.fail_fast = n_jobs, fail_fast

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Live these jobs; one that was killed, or that had no chance to begin, has the value NaN."""
        Path(str(self.config.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
        waiting = [(initial_job_idx + place, words) for place, words in enumerate(job_overrides)]
        values: dict[int, Any] = {}
        living: list[Job] = []
        pin(whole(self.config.get("threads", 1)))  # before libraries are loaded, which all jobs share
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        memory = Memory()
        try:
            while living or waiting:
                while waiting and len(living) < self._most() and not (self.fail_fast and self._failed()):
                    living.append(self._begin(context, *waiting.pop(0)))
                if not living:
                    break
                wait([job.process.sentinel for job in living], timeout=LOOK)
                for job in living:
                    job.most = max(job.most, memory.held(job.process.pid))
                for job in [job for job in living if not job.process.is_alive()]:
                    living.remove(job)
                    values[job.number] = self._ended(job, memory)
        except BaseException:
            _end(living)
            raise
        if waiting:
            self._tell({"told": f"{len(waiting)} jobs were not begun, for one had failed (fail_fast)"})
        return [returned(words, values.get(initial_job_idx + place, math.nan))
                for place, words in enumerate(job_overrides)]  # fmt: skip

    def _most(self) -> int:
        if self.n_jobs is not None and self.n_jobs > 0:
            return self.n_jobs
        return max(1, _cores() // max(1, whole(self.config.get("threads", 1))))

    def _begin(self, context: Any, number: int, words: Sequence[str]) -> Job:
        here, there = context.Pipe(duplex=False)
        until, alive = context.Pipe(duplex=False)
        handed = cloudpickle.dumps((self.context, self.config, self.task, Singleton.get_state()))
        process = context.Process(target=_live, args=(number, list(words), there, until, handed), name=f"job {number}")
        process.start()
        there.close()
        until.close()
        return Job(number, words, process, here, alive)

    def _ended(self, job: Job, memory: Memory) -> Any:
        """The value of a job whose process has ended; what it could not say itself is told for it."""
        with suppress(EOFError, OSError):
            if job.line.poll():
                return job.line.recv()
        job.process.join()
        if any(one.get("job") == job.number and "pruned" in one for one in entries(self._manifest())):
            return math.nan
        why = memory.why(job.process.exitcode, job.most)
        self._tell(lost(self._manifest(), job.number, why))
        return math.nan

    def _tell(self, entry: dict[str, Any]) -> None:
        append(self._manifest(), entry)

    def _failed(self) -> bool:
        return any("error" in entry for entry in entries(self._manifest()))

    def _manifest(self) -> Path:
        return Path(self.config.launch)


def know_launcher() -> None:
    """Make Hydra know of it."""
    know("sandbox", Processes)


def know(name: str, plugin: type) -> None:
    """Make Hydra know of a plug-in as `hydra_plugins.<name>`. Hydra takes them from that namespace alone, parts of
    which some editable installations do not find; so its module is put there by hand."""
    try:
        space = import_module(NAMESPACE)
    except ModuleNotFoundError:  # no other plug-in is installed
        space = sys.modules[NAMESPACE] = ModuleType(NAMESPACE)
        space.__path__ = []
    module = sys.modules[plugin.__module__]
    plugin.__module__ = f"{NAMESPACE}.{name}"
    sys.modules[plugin.__module__] = module
    setattr(space, name, module)
    Plugins.instance().register(plugin)


def whole(threads: Any) -> int:
    """A number of threads; 1 for what is none, which each job will refuse."""
    return threads if type(threads) is int else 1


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _live(number: int, words: list[str], line: Connection, until: Connection, handed: bytes) -> None:
    """In the job's own process."""
    threading.Thread(target=_end_with, args=(until,), daemon=True).start()
    context, config, task, singletons = cloudpickle.loads(handed)
    setup_globals()
    know_launcher()
    Singleton.set_state(singletons)
    try:
        line.send(lived(context, task, config, number, words))
    except KeyboardInterrupt:
        os._exit(128 + signal.SIGINT)


def _end_with(until: Connection) -> None:
    """End this process, with its last checkpoint, once the launch is gone: its end of `until` is then closed, however
    it ended."""
    with suppress(EOFError, OSError):
        until.recv()
    os.kill(os.getpid(), signal.SIGTERM)


def _end(living: Sequence[Job]) -> None:
    """Tell these jobs to end, and wait for their last checkpoints."""
    for job in living:
        job.process.terminate()
    over = time.monotonic() + GRACE
    for job in living:
        job.process.join(max(0.0, over - time.monotonic()))
        if job.process.is_alive():
            job.process.kill()
