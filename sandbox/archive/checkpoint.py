"""Whole standings on disk: manifests over tensors that are stored once, under the digest of their bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from sandbox.core.error import LineageError, explain
from sandbox.core.record import Record, Standing
from sandbox.core.state import SLOTS, State
from sandbox.core.tree import Tree, flatten, refill
from sandbox.lines.whole import write_whole

BLOBS, CHECKPOINTS = "blobs", "checkpoint"


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
    """The newest standing and its step, in the structure of `like`; None where there is no checkpoint. Raises
    `LineageError` where a leaf of the one is not a leaf of the other, or not of its shape and dtype."""
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return None
    path = checkpoints[-1]
    manifest = json.loads(path.read_text())

    def state(name: str) -> State:
        slots = {slot: _fill(getattr(like, slot), manifest["leaves"][name].get(slot, {}), slot, folder, path)
                 for slot in (*SLOTS, "seed")}  # fmt: skip
        return State(**slots, t=manifest["t"][name])  # type: ignore[arg-type]

    edited = torch.tensor(manifest["edited"])
    _same(f"{like.seeds} seeds", f"{len(edited)}", len(edited) == like.seeds, path)
    return Standing(state("state"), state("before"), edited), manifest["step"]


def steps(folder: Path) -> list[int]:
    """The steps of the checkpoints that there are, in order."""
    return [int(path.stem) for path in _checkpoints(folder)]


def drop_after(folder: Path, step: int) -> None:
    """Drop every checkpoint after `step`."""
    for path in _checkpoints(folder):
        if int(path.stem) > step:
            path.unlink()


def _fill(like: Tree, blobs: dict[str, str], slot: str, folder: Path, path: Path) -> Tree:
    asked = flatten(like)
    _same(f"leaves {sorted(asked)} in '{slot}'", f"{sorted(blobs)}", asked.keys() == blobs.keys(), path)
    found = {name: load_blob(folder, blob) for name, blob in blobs.items()}
    for name, leaf in found.items():
        one, other = (f"{tensor.dtype} {list(tensor.shape)}" for tensor in (asked[name], leaf))
        _same(f"{one} at '{slot}/{name}'".replace("/'", "'"), other, one == other, path)
    return refill(like, found)


def _same(expected: str, got: str, same: bool, path: Path) -> None:
    if not same:
        raise LineageError(explain(
            expected=f"{expected}, as the run is configured", got=f"{got} in {path}",
            do="The run was made by other code or settings: force=true keeps it aside and runs anew."))  # fmt: skip


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / CHECKPOINTS).glob("[0-9]*.json"))


def _blobs(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    else:
        for inner in node.values():
            yield from _blobs(inner)
