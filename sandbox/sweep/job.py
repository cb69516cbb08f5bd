"""One job, in whatever process a launcher gives it: from what Hydra composed to a run, its errors in a manifest."""

from __future__ import annotations

import math
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from sandbox.compose import OLD, as_typed, label_of, left_out, settled
from sandbox.core.error import ConfigError, SandboxError, explain
from sandbox.lines.launch import append, entries, me, read_plan
from sandbox.lines.place import mark
from sandbox.places import Place, folder_of, trusted_by

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # a key, a scheduler or a time limit, a closed terminal
WARNS = signal.SIGUSR2  # what a scheduler sends some time before it takes the machine away
PINNED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # libraries read them as they are loaded
TRACEBACK = "traceback.txt"  # in the folder of a run that failed by an exception that nobody foresaw


def live(config: DictConfig) -> float | None:
    """Live one job. What a sweeper goes by is returned, if the job has it: its objective, NaN where it failed.

    Every error is told in the manifest of the launch, by job; none is raised but an interruption.
    """
    _know_label()  # in a worker too
    hydra = HydraConfig.get()
    manifest, number = Path(config["launch"]), 0 if OmegaConf.is_missing(hydra.job, "num") else hydra.job.num
    plan = read_plan(manifest)
    entry: dict[str, Any] = {
        "job": number,
        "label": f"job {number}",
        "apart": plan.apart(number) if plan else [],
        **me(),
    }
    place: Path | None = None

    def tell(word: str) -> None:
        append(manifest, {"job": number, "told": word})

    def found(folder: Path) -> None:
        nonlocal place
        place = folder
        append(manifest, entry | {"folder": str(folder), "launches": str(manifest.parent.resolve())})

    try:
        run, words, told = _asked(config)
        entry |= {"label": run["label"], "steps": run["steps"]}
        for word in told:
            tell(f"{run['label']}: {word}")
        with ended_as_interrupted():
            from sandbox.experiment import perform

            try:
                folder = perform(run, words, apart=entry["apart"], tell=tell, found=found)
            except SystemExit as error:
                raise RuntimeError(f"a member's code ended the process: sys.exit({error.code})") from error
            return objective(folder, run.get("objective"), run["steps"])
    except (SandboxError, OmegaConfBaseException) as error:
        append(manifest, entry | _run(place) | {"error": str(error)})
    except Exception as error:
        said = place / TRACEBACK if place else manifest.with_suffix(f".{number}.{TRACEBACK}")
        said.write_text(traceback.format_exc())
        append(manifest, entry | _run(place) | {"error": f"{type(error).__name__}: {error} (see {said})"})
    return math.nan


def _asked(config: DictConfig) -> tuple[dict[str, Any], list[str], list[str]]:
    """What a job is to run, its words as typed, and what the user should be told of them; raises `ConfigError`."""
    hydra = HydraConfig.get()
    words, folders = list(hydra.overrides.task), _named()
    own = settled(config, hydra.runtime.choices, words, folders)
    run: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(own), resolve=True)  # type: ignore[assignment]
    del run["launch"]
    if not isinstance(run["runs"], str):
        raise ConfigError(explain(expected="a folder at runs", got=repr(run["runs"]), do="Leave it out: runs=runs."))
    run["runs"] = str((Path(hydra.runtime.cwd) / run["runs"]).resolve())  # whatever hydra.job.chdir says
    run["label"] = _label() if run["label"] is None else str(run["label"])
    pin(run["threads"])  # before any library is loaded
    from sandbox.identity import trusted

    run["trust"] = [*trusted(run), *trusted_by(words, folders)]
    return run, as_typed(words), left_out(config, own, words)


def objective(folder: Path, name: str | None, steps: int) -> float | None:
    """What a search goes by: the mean over seeds of a reading when it was last taken in so many steps, by default P, or
    A of a run that reads no P; None where it was never read. Raises `LineageError` for a name that no meter of the run
    reads."""
    from sandbox.report.read import last

    return last(folder, name, steps)


def pin(threads: int) -> None:
    """Libraries that are loaded from now on take so many threads, whatever launcher and machine a job has."""
    os.environ.update(dict.fromkeys(PINNED, str(threads)))


@contextmanager
def ended_as_interrupted(first: Callable[[int], None] = lambda number: None) -> Iterator[None]:
    """SIGINT (Ctrl-C), SIGTERM and SIGHUP interrupt the block, once, after they have been handed to `first`: a second
    one, as where a terminal and a launch both send theirs, breaks off no last checkpoint. Those that are ignored
    (nohup) stay so. So does SIGUSR2; a launcher that listens to it, to queue the job again, hears it once the block has
    been left, that is, after the last checkpoint."""
    came = list[int]()

    def end(number: int, frame: Any) -> None:
        for each in known:
            signal.signal(each, signal.SIG_IGN)
        came.append(number)
        first(number)
        raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()  # no other thread may say what a signal does
    known = {each: before for each in (*ENDS, WARNS) if here and (before := signal.getsignal(each)) != signal.SIG_IGN}
    for each in known:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each, before in known.items():
            signal.signal(each, before)
        if WARNS in came:
            _queue_again(known[WARNS])


def _queue_again(listener: Any) -> None:
    """Hand the warning on to whoever listened before; it ends this process, or says why the job isn't queued again."""
    if not callable(listener):
        return
    try:
        listener(WARNS, None)
    except Exception as error:
        raise SandboxError(f"interrupted, and not queued again: {error} The same command goes on.") from None


def _run(place: Path | None) -> dict[str, str]:
    return {"run": place.name} if place else {}


def _named() -> tuple[Place, ...]:
    """The folders that the command line of this job names."""
    sources = [one for one in HydraConfig.get().runtime.config_sources if "command-line" in one.provider]
    return tuple(Place("command line", one.path, f"{one.schema}://{one.path}",
                       Path(one.path) if one.schema == "file" else folder_of(one.path))
                 for one in sources)  # fmt: skip


# ---- what launchers share -------------------------------------------------------------------------------------------


def lived(context: HydraContext, task: TaskFunction, config: DictConfig, number: int, words: Sequence[str]) -> Any:
    """What the job of these words returns, lived in this process; `config`: that of the sweep."""
    own = context.config_loader.load_sweep_config(config, list(words))
    with open_dict(own):
        own.hydra.job.id, own.hydra.job.num = f"{own.hydra.job.name}_{number}", number
    HydraConfig.instance().set_config(own)
    return run_job(hydra_context=context, config=own, task_function=task, job_dir_key="hydra.sweep.dir",
                   job_subdir_key="hydra.sweep.subdir").return_value  # fmt: skip


def lost(manifest: Path, number: int, why: str) -> dict[str, Any]:
    """An entry of the manifest for a job that ended without a word; the run that it lived is marked."""
    mine = [one for one in entries(manifest) if one.get("job") == number and "folder" in one]
    if not mine:
        plan = read_plan(manifest)
        return {"job": number, "label": f"job {number}", "apart": plan.apart(number) if plan else [], "state": "killed",
                "error": why}  # fmt: skip
    folder = Path(mine[-1]["folder"])
    mark(folder, "killed", why)
    kept = {key: mine[-1][key] for key in ("job", "label", "apart")}
    return {**kept, "run": folder.name, "state": "killed", "error": why}


def returned(words: Sequence[str], value: Any) -> JobReturn:
    """What Hydra is told of a job."""
    return JobReturn(overrides=list(words), cfg=OmegaConf.create(), status=JobStatus.COMPLETED, _return_value=value)


# ---- labels ---------------------------------------------------------------------------------------------------------


def _label() -> str:
    return label_of(HydraConfig.get().runtime.choices, HydraConfig.get().overrides.task)


def _know_label() -> None:
    register = "register_new_resolver" if OLD else "register_resolver"  # 1.4 renames it
    getattr(OmegaConf, register)("label", _label, replace=True)


_know_label()
