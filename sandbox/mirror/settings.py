"""How a run is filed in W&B: what is set, or else what the environment says, or else what follows from the run."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.lines.launch import key_of
from sandbox.lines.mirror import mode_of
from sandbox.lines.place import SEEDS
from sandbox.mirror.source import Run

LONGEST = 118  # characters of a name or group
TAG = 64  # characters of a tag
ODD = re.compile(r"[^A-Za-z0-9_.,=+-]+")  # what W&B's addresses have no place for
ODDER = re.compile(r"[^A-Za-z0-9_.-]+")  # nor its artifacts, which are called by the run's id
CHOICES = ("preset", "experiment", "study")


@dataclass(frozen=True)
class Settings:
    """The fields of the tracker that matter to the mirror; what is None is the environment's, or the run's."""

    mode: str | None = None
    project: str | None = None
    entity: str | None = None
    group: str | None = None
    name: str | None = None
    tags: Sequence[str] | None = None
    notes: str | None = None
    job_type: str | None = None
    by_seed: bool = False


@dataclass(frozen=True)
class Filed:
    """Where in W&B a run is, and under which names."""

    mode: str
    project: str
    entity: str | None
    group: str
    name: str
    tags: tuple[str, ...]
    notes: str | None
    job_type: str
    id: str


def given(run: Run, words: Mapping[str, Any]) -> Settings:
    """The settings of a run's own tracker, or the defaults where it had none, but for `words`. Raises `ConfigError` for
    a word that is none of them."""
    known = [one.name for one in fields(Settings)]
    for word in words:
        if word not in known:
            raise ConfigError(explain(expected="a setting of a mirror", got=f"'{word}'", do=did_you_mean(word, known)))
    nodes = (run.config.get("tracker") or {}).values()
    own = next((node for node in nodes if str(node.get("_target_", "")).endswith(".wandb.Wandb")), {})
    return replace(Settings(**{key: value for key, value in own.items() if key in known}), **_typed(words))


def _typed(words: Mapping[str, Any]) -> dict[str, Any]:
    """These words as their fields take them: a name is text whatever YAML made of it, one tag is a list of one."""
    found = dict[str, Any]()
    for key, value in words.items():
        if key == "tags":
            found[key] = [str(tag) for tag in (value if isinstance(value, list) else [value])]
        elif key == "by_seed":
            if not isinstance(value, bool):
                raise ConfigError(explain(expected="by_seed=true or by_seed=false", got=repr(value), do="Say either."))
            found[key] = value
        else:
            found[key] = None if value is None else str(value)
    return found


def filed(run: Run, settings: Settings, environment: Mapping[str, str] = os.environ) -> Filed:
    """Everything decided."""

    def first(field: str, variable: str, otherwise: str | None) -> str | None:
        return getattr(settings, field) or environment.get(variable) or otherwise

    label, sweep = str(run.config.get("label", run.folder.name)), run.config.get("sweep")
    tags = settings.tags if settings.tags is not None else environment.get("WANDB_TAGS", "").split(",")
    return Filed(
        mode=mode_of(settings.mode, environment),
        project=first("project", "WANDB_PROJECT", "sandbox") or "",
        entity=first("entity", "WANDB_ENTITY", None),
        group=legal(first("group", "WANDB_RUN_GROUP", _group(run, label, sweep)) or ""),
        name=cut(first("name", "WANDB_NAME", _name(run, label)) or "", LONGEST),
        tags=tuple(dict.fromkeys(cut(tag.strip(), TAG) for tag in (*_tags(run, sweep), *tags) if tag.strip())),
        notes=first("notes", "WANDB_NOTES", command(run) or None),
        job_type=cut(first("job_type", "WANDB_JOB_TYPE", label) or "", LONGEST),
        id=_id(run),
    )


def command(run: Run) -> str:
    """What to paste to have this one run again; empty for a run that no command line began."""
    return shlex.join(["sandbox", *run.words]) if run.words else ""


def cut(text: str, longest: int) -> str:
    """A text that is no longer, and differs where longer ones differed."""
    return text if len(text) <= longest else f"{text[: longest - 9]}-{_digest(text)}"


def legal(text: str, odd: re.Pattern[str] = ODD) -> str:
    """A name without what is `odd`, which differs where others differed."""
    plain = odd.sub("_", text).strip("_")
    return cut(text if plain == text else f"{plain}-{_digest(text)}".lstrip("-"), LONGEST)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _group(run: Run, label: str, sweep: str | None) -> str:
    """A sweep and what varies in it besides the seeds, so that runs of a group differ by their seeds alone."""
    varied = [word.lstrip("+") for word in run.apart if key_of(word) not in SEEDS]
    return "-".join([sweep, *varied]) if sweep else label


def _name(run: Run, label: str) -> str:
    return " ".join([label, *(word.lstrip("+") for word in run.apart if not word.endswith(f"={label}"))])


def _tags(run: Run, sweep: str | None) -> list[str]:
    chosen = [word.lstrip("+") for word in run.words if key_of(word) in CHOICES]
    kinds = {group: run.config.get(group) or {} for group in ("task", "rule", "meta_learner", "model")}
    classes = {group: str(node["_target_"]).rpartition(".")[2] for group, node in kinds.items() if "_target_" in node}
    named = [f"{group}={name}" for group, name in classes.items()]
    return [*([f"sweep={sweep}"] if sweep else []), *chosen, *named]


def _id(run: Run) -> str:
    """The folder's name; a run that was begun anew is another run, whose past W&B may hold already."""
    anew = sum(1 for _ in run.folder.glob("past/*/readings.json"))
    return legal(run.folder.name if not anew else f"{run.folder.name}-{anew + 1}", ODDER)
