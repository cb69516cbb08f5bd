"""A launcher: each job is one of SLURM's. One that is told to make way writes a checkpoint, queues again and goes on.

submitit does the queueing. Its own plug-in for Hydra gives up on all jobs with the first that is lost; this one waits
for every job and tells what became of it.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from sandbox.core.error import ConfigError, explain
from sandbox.lines.launch import append
from sandbox.sweep.job import lived, lost, returned
from sandbox.sweep.processes import know, know_launcher

LEAST = 60  # seconds that a job must have before it is warned


class Slurm(Launcher):
    """Its settings are those of conf/hydra/launcher/slurm.yaml."""

    def __init__(self, partition: str | None = None, account: str | None = None, qos: str | None = None,
                 constraint: str | None = None, timeout_min: int = 60, cpus_per_task: int = 1, mem_gb: float = 4,
                 gpus_per_node: int | None = None, array_parallelism: int = 32, max_num_timeout: int = 10,
                 signal_delay_s: int = 120, setup: Sequence[str] = (), additional: Mapping[str, Any] | None = None,
                 folder: str = "slurm") -> None:  # fmt: skip
        if timeout_min * 60 < signal_delay_s + LEAST:
            raise ConfigError(explain(
                expected=f"hydra.launcher.timeout_min of {math.ceil((signal_delay_s + LEAST) / 60)} or more",
                got=f"{timeout_min}, of which a job is warned {signal_delay_s} s before the end",
                do="Give it more time, or set hydra.launcher.signal_delay_s."))  # fmt: skip
        self.folder, self.again = folder, max_num_timeout
        asked = {"slurm_partition": partition, "slurm_account": account, "slurm_qos": qos,
                 "slurm_constraint": constraint, "timeout_min": timeout_min, "cpus_per_task": cpus_per_task,
                 "mem_gb": mem_gb, "gpus_per_node": gpus_per_node, "slurm_array_parallelism": array_parallelism,
                 "slurm_signal_delay_s": signal_delay_s, "slurm_additional_parameters": dict(additional or {}),
                 "slurm_setup": list(setup),
                 "name": "sandbox", "stderr_to_stdout": True}  # fmt: skip
        self.asked = {key: value for key, value in asked.items() if value is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Live these jobs; one that SLURM ended for good has the value NaN."""
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        queued = self._queue(numbers, job_overrides)
        try:
            values = [self._value(number, one) for number, one in zip(numbers, queued, strict=True)]
        except BaseException:
            for one in queued:
                with suppress(Exception):
                    one.cancel()
            raise
        return [returned(words, value) for words, value in zip(job_overrides, values, strict=True)]

    def _queue(self, numbers: Sequence[int], words: Sequence[Sequence[str]]) -> list[Any]:
        """These jobs as submitit has queued them; none of them where SLURM refuses them, which is told."""
        import submitit
        from submitit.core.utils import FailedJobError

        executor = submitit.AutoExecutor(self.folder, cluster="slurm", slurm_max_num_timeout=self.again)
        executor.update_parameters(**self.asked)
        job = Job(self.context, self.task, self.config, Singleton.get_state())
        try:
            queued = executor.map_array(job, numbers, [list(one) for one in words])
        except FailedJobError as error:
            self._tell({"job": numbers[0], "label": "slurm", "error": " ".join(str(error).split())})
            return [None for _ in numbers]
        if not _keeps_accounts():
            self._tell({"told": "this SLURM keeps no accounts: nobody would hear of a job that it kills (sacct)"})
        return queued

    def _value(self, number: int, queued: Any) -> Any:
        """What a job returned, once it has ended."""
        if queued is None:
            return math.nan
        queued.wait()
        with suppress(Exception):
            return queued.result()
        self._tell(lost(Path(self.config.launch), number, f"{_why(queued)} (see {queued.paths.stdout})"))
        return math.nan

    def _tell(self, entry: Mapping[str, Any]) -> None:
        append(Path(self.config.launch), entry)


class Job:
    """One job, in the process that SLURM gives it; submitit pickles it, and again where the job queues again."""

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig, singletons: Any) -> None:
        self.context, self.task, self.config, self.singletons = context, task, config, singletons

    def __call__(self, number: int, words: list[str]) -> Any:
        setup_globals()
        know_launcher()
        Singleton.set_state(self.singletons)
        return lived(self.context, self.task, self.config, number, words)

    def checkpoint(self, *given: Any) -> Any:
        """What is queued again: the same job, which goes on from its own last checkpoint."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, *given)


def know_slurm() -> None:
    """Make Hydra know of it."""
    know("sandbox_slurm", Slurm)


def _keeps_accounts() -> bool:
    asked = [shutil.which("sacct") or "false", "--noheader", "--allocations"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _why(queued: Any) -> str:
    """Why a job ended without a value: SLURM's words for it."""
    said = [str(queued.get_info(mode="force").get("State", "unknown")).split()[0]]
    with suppress(OSError):
        said += re.findall(r"^srun: error: .*: (.+)$", queued.paths.stdout.read_text(errors="replace"), re.MULTILINE)[
            -1:
        ]
    return f"its process ended under SLURM ({', '.join(said).lower()})"
