"""Lineage on disk: lines appended and flushed, tensors under the digest of their bytes; reading changes nothing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from sandbox.core.error import LineageError, explain
from sandbox.core.record import ACCEPTED, ROLLED_BACK, Record, Standing
from sandbox.core.state import SLOTS, State
from sandbox.core.tree import flatten, refill

LINEAGE, BLOBS, CHECKPOINTS = "lineage.jsonl", "blobs", "checkpoint"
Line = Mapping[str, Any]


# ---- lines ----------------------------------------------------------------------------------------------------------


def as_json(record: Record) -> str:
    """One line of strict JSON; numbers that are not finite become null."""
    return json.dumps(_finite(record.line()), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def read(folder: Path) -> list[Line]:
    """Every whole line. A torn last line (the writer was killed) is left out; any other bad line is named."""
    path = folder / LINEAGE
    if not path.exists():
        raise LineageError(explain(expected=f"a run folder with {LINEAGE}", got=str(folder),
                                   do="Name a folder under runs/."))  # fmt: skip
    lines = path.read_text().split("\n")
    found: list[Line] = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise LineageError(explain(expected=f"JSON on line {number} of {path}", got=str(error),
                                       do="The file was changed by hand, or its disk failed."))  from error  # fmt: skip
    return found


def cut(folder: Path, step: int) -> None:
    """Drop what was written after the top level's record `step`, and a torn last line."""
    lines = read(folder)
    top = max((line["level"] for line in lines), default=1)
    keep = next((i for i, line in enumerate(lines) if line["level"] == top and line["step"] == step), None)
    if keep is None:
        raise LineageError(explain(expected=f"a line for step {step} in {folder / LINEAGE}", got="none",
                                   do="Its checkpoint is ahead; move the folder away to start anew."))  # fmt: skip
    whole = (folder / LINEAGE).read_text().split("\n")[: keep + 1]
    write_whole(folder / LINEAGE, ("\n".join(whole) + "\n").encode())


def select(lines: Sequence[Line], reading: str, *, count: int = 1, highest: bool = False) -> list[Line]:
    """The `count` lines whose `reading`, averaged over seeds, is best (lowest unless `highest`)."""
    scored = [(sum(line["readings"][reading]) / len(line["seeds"]), i) for i, line in enumerate(lines)
              if reading in line["readings"] and None not in line["readings"][reading]]  # fmt: skip
    return [lines[i] for _, i in sorted(scored, key=lambda pair: (-pair[0] if highest else pair[0], pair[1]))[:count]]


def course(lines: Sequence[Line], start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{path: [steps, S, ...]}: the value in force after each reflective step of level 1, from the accepted edits and
    the values at the `start` [S, ...]. Raises `LineageError` where an edit was too large to be written."""
    now = {path: value.clone() for path, value in start.items()}
    past = {path: list(value.clone()) for path, value in start.items()}
    steps: dict[str, list[Tensor]] = {path: [] for path in start}
    for line in lines:
        if line["level"] != 1 or line["step"] == 0:
            continue
        for path in start:
            for s, verdict in enumerate(line["verdict"]):
                if verdict == ACCEPTED:
                    past[path][s] = now[path][s].clone()
                    if path in line["edit"]:
                        now[path][s] = torch.tensor(_value(line, path)[s], dtype=now[path].dtype)
                elif verdict == ROLLED_BACK:
                    now[path][s] = past[path][s]
            steps[path].append(now[path].clone())
    return {path: torch.stack(values) for path, values in steps.items() if values}


def _value(line: Line, path: str) -> list[Any]:
    if "value" not in line["edit"][path]:
        raise LineageError(explain(expected=f"the values of '{path}' at step {line['step']}", got="their digest alone",
                                   do="An edit of more than a kilobyte a seed can't be lived by again."))  # fmt: skip
    return line["edit"][path]["value"]


# ---- tensors --------------------------------------------------------------------------------------------------------


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing, also when killed in the middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def keep_blob(folder: Path, value: Tensor) -> str:
    """Store one tensor under the digest of its bytes, once; returns the digest."""
    content = save({"value": value.detach().contiguous()})
    name = blake2b(content, digest_size=16).hexdigest()
    path = folder / BLOBS / f"{name}.safetensors"
    if not path.exists():
        write_whole(path, content)
    return name


def load_blob(folder: Path, name: str) -> Tensor:
    """The tensor stored under `name`; raises `LineageError` if it is gone or does not hash to its name."""
    path = folder / BLOBS / f"{name}.safetensors"
    if not path.exists() or blake2b(path.read_bytes(), digest_size=16).hexdigest() != name:
        raise LineageError(explain(expected=f"a blob that hashes to its name at {path}",
                                   got="none" if not path.exists() else "other bytes",
                                   do="Move the run's checkpoint folder away to start anew."))  # fmt: skip
    return load_file(path)["value"]


def save_checkpoint(folder: Path, record: Record, *, keep: int = 2) -> None:
    """The standing after `record`, its tensors in blobs; the last `keep` checkpoints stay, others' blobs go."""
    standing = {"state": record.standing.state, "before": record.standing.before}
    manifest = {
        "step": record.step,
        "t": {name: state.t for name, state in standing.items()},
        "edited": record.standing.edited.tolist(),
        "leaves": {name: {slot: {path: keep_blob(folder, leaf) for path, leaf in flatten(getattr(state, slot)).items()}
                          for slot in (*SLOTS, "seed")} for name, state in standing.items()},
    }  # fmt: skip
    write_whole(folder / CHECKPOINTS / f"{record.step:08d}.json", json.dumps(manifest).encode())
    for old in _checkpoints(folder)[:-keep]:
        old.unlink()
    used = {name for path in _checkpoints(folder) for name in _blobs(json.loads(path.read_text())["leaves"])}
    for blob in (folder / BLOBS).glob("*.safetensors"):
        if blob.stem not in used:
            blob.unlink()


def load_checkpoint(folder: Path, like: State) -> tuple[Standing, int] | None:
    """The newest standing and its step, in the structure of `like`; None where there is no checkpoint."""
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return None
    manifest = json.loads(checkpoints[-1].read_text())

    def state(name: str) -> State:
        slots = {slot: refill(getattr(like, slot), {path: load_blob(folder, blob) for path, blob in paths.items()})
                 for slot, paths in manifest["leaves"][name].items()}  # fmt: skip
        return State(**slots, t=manifest["t"][name])  # type: ignore[arg-type]

    return Standing(state("state"), state("before"), torch.tensor(manifest["edited"])), manifest["step"]


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / CHECKPOINTS).glob("[0-9]*.json"))


def _blobs(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for inner in node.values():
            yield from _blobs(inner)
