"""Exhibits, measured seed by seed by several processes; each seed is a line on disk, so that a kill loses only those in
the making."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from hashlib import blake2b
from math import isfinite
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from typing import Any

from sandbox.about import provenance
from sandbox.config import Typed, read
from sandbox.core.error import ContractError, explain
from sandbox.core.exhibit import Exhibit, Measured

Arms = dict[str, dict[str, dict[int, float]]]


def measured(name: str, node: Mapping[str, Any], seeds: int, place: Path, *, jobs: int | None = None,
             trust: Sequence[str] = ()) -> Arms:  # fmt: skip
    """{arm: {reading: {seed: number}}} of the exhibit that `node` describes, under seeds 0, 1, …; raises `ConfigError`,
    and `ContractError` where a number is not finite or a seed shows other arms than the others."""
    typed = read(node, f"exhibits.{name}", trust=trust, seam=Exhibit)
    typed.build()  # what can't be built fails here, not in a worker
    path = place / f"{name}-{_digest(typed)}.jsonl"
    done = _done(path)
    left = [seed for seed in range(seeds) if seed not in done]
    for seed, found in _measure(dict(node), left, jobs or cpu_count() or 1, list(trust)):
        done[seed] = _checked(found, name, seed)
        _append(path, {"seed": seed, "arms": done[seed]})
    return _arms({seed: done[seed] for seed in range(seeds)}, name)


def _digest(typed: Typed) -> str:
    """Of the exhibit's configuration and of the code that it goes through."""
    code = [found["modules"] for found in provenance(typed.classes()).values()]
    return blake2b(json.dumps([typed.plain(), code], sort_keys=True, default=str).encode(), digest_size=5).hexdigest()


def _measure(node: dict[str, Any], seeds: Sequence[int], jobs: int, trust: list[str]) -> Any:
    """(seed, what was measured) as they are ready."""
    if not seeds:
        return
    if jobs == 1 or len(seeds) == 1:
        for seed in seeds:
            yield _one(node, seed, trust)
        return
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(_one, node, seed, trust) for seed in seeds]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one(node: dict[str, Any], seed: int, trust: list[str]) -> tuple[int, Measured]:
    import torch

    torch.set_num_threads(1)
    return seed, read(node, "exhibit", trust=trust, seam=Exhibit).build().measure(seed)


def _checked(found: Measured, name: str, seed: int) -> dict[str, dict[str, float]]:
    plain = {arm: {reading: float(value) for reading, value in readings.items()} for arm, readings in found.items()}
    bad = [f"{arm}/{reading}" for arm, readings in plain.items() for reading, value in readings.items()
           if not isfinite(value)]  # fmt: skip
    if bad or not plain:
        raise ContractError(explain(expected=f"finite numbers from {name} under seed {seed}",
                                    got=", ".join(bad) or "no arms", do="Mend its `measure`."))  # fmt: skip
    return plain


def _done(path: Path) -> dict[int, dict[str, dict[str, float]]]:
    """What is written; a line that was torn by a kill is left out."""
    if not path.is_file():
        return {}
    found = dict[int, dict[str, dict[str, float]]]()
    for text in path.read_text().splitlines():
        with suppress(ValueError):
            line = json.loads(text)
            found[line["seed"]] = line["arms"]
    return found


def _append(path: Path, line: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = not path.is_file() or path.read_bytes()[-1:] in (b"", b"\n")
    with path.open("ab", buffering=0) as file:
        file.write((b"" if whole else b"\n") + json.dumps(line).encode() + b"\n")


def _arms(done: Mapping[int, Mapping[str, Mapping[str, float]]], name: str) -> Arms:
    keys = {seed: {(arm, reading) for arm in found for reading in found[arm]} for seed, found in done.items()}
    first = next(iter(keys.values()))
    for seed, here in keys.items():
        if here != first:
            raise ContractError(explain(expected=f"the same arms and readings of {name} under every seed",
                                        got=f"under seed {seed} also or not {sorted(here ^ first)}",
                                        do="Mend its `measure`."))  # fmt: skip
    return {arm: {reading: {seed: done[seed][arm][reading] for seed in done} for reading in found}
            for arm, found in next(iter(done.values())).items()}  # fmt: skip
