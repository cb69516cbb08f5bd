"""A rule of which loss and update are programs, so that an edit can replace a formula and not only its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain
from sandbox.core.protocols import Batch, Params, Reach
from sandbox.program.formulas import KINDS
from sandbox.program.language import CONSTANTS
from sandbox.program.library import named
from sandbox.program.program import Program as Formula
from sandbox.program.program import ProgramError
from sandbox.program.run import run
from sandbox.program.tensor import decode, encode, lost
from sandbox.program.text import write


@dataclass(frozen=True)
class Program:
    """A = mean of what the program `loss_program` returns for prediction and target; θ ← θ - lr · what the program
    `update_program` returns for gradient, weights, count of steps and slots (`program.language.SIGNATURES`).

    Both fields are names of shipped programs (`sandbox/program/library.txt`) or texts of the language. Without a
    `loss_program` A is mean P on the batch: the task's own objective, as rule=sgd has it, for tasks without targets and
    for whoever studies the update alone. phi is {"loss", "update": programs as whole numbers, "constants" [2, 8]: the
    loss's, then the update's, "lr": scalar, raw}; without a `loss_program` there is no "loss" in it that an edit could
    reach. An update sees all weights of the network in one row, so that a norm is that of all of them.
    """

    loss_program: str | None = "squared_error"
    update_program: str = "sgd"
    lr: float = 0.01

    def __post_init__(self) -> None:
        if not isfinite(self.lr):
            raise ConfigError(explain(expected="a finite rule.lr", got=f"{self.lr}", do="Leave it out: 0.01."))
        self._programs()

    def init(self, params: Params) -> Params:
        dtype = next(iter(params.values())).dtype
        coded = {kind: encode(program, dtype) for kind, program in self._programs().items()}
        for kind, program in self._programs().items():
            if gone := lost(program, dtype):
                raise ConfigError(explain(expected=f"constants of rule.{kind}_program that {dtype} can hold",
                                          got=f"{gone[0]:g}", do="Set float64, or mend the constant."))  # fmt: skip
        constants = [coded[kind][1] if kind in coded else torch.zeros(CONSTANTS, dtype=dtype) for kind in KINDS]
        return {**{kind: code for kind, (code, _) in coded.items()}, "constants": torch.stack(constants),
                "lr": torch.tensor(self.lr, dtype=dtype)}  # fmt: skip

    def readable(self, phi: Params) -> Params:
        """The learning rate, and how many instructions each program has."""
        lengths = {f"{kind}.length": phi[kind][..., 0, 3].to(phi["lr"].dtype) for kind in KINDS if kind in phi}
        return {"lr": phi["lr"], **lengths}

    def fault(self, phi: Params, edited: Sequence[str] = ()) -> str:
        """What is wrong with the programs of one phi; empty where nothing is. They stay of the kinds they began as, and
        an edit that sets a program with numbers sets these, too: others would stand in their place."""
        for kind, began in self._programs().items():
            try:
                found = decode(phi[kind], phi["constants"][KINDS.index(kind)])
            except ProgramError as error:
                return f"rule/{kind}: {error}"
            if found.signature != began.signature:
                return f"rule/{kind}: " + explain(expected=f"a program '{began.signature}'", got=f"'{found.signature}'",
                                                  do="What a program is handed doesn't change.")  # fmt: skip
            if kind in edited and found.constants and "constants" not in edited:
                return explain(
                    expected=f"rule/constants beside rule/{kind}, for the program has {len(found.constants)} numbers",
                    got=f"rule/{kind} alone", do="Set both: sandbox.program.formulas.Formulas.edit does.")  # fmt: skip
        return ""

    def written(self, phi: Params) -> Mapping[str, str]:
        """{"loss", "update": text} of one phi."""
        return {kind: write(decode(phi[kind], row)) for kind, row in zip(KINDS, phi["constants"], strict=True)
                if kind in phi}  # fmt: skip

    def slots(self, params: Params) -> Params:
        flat = _flat(params)
        return {"t": flat.new_zeros(()), **{slot: torch.zeros_like(flat) for slot in self._slots}}

    def loss(self, phi: Params, params: Params, slots: Params, batch: Batch, reach: Reach) -> Tensor:
        prediction = reach.predict(params, batch["x"])
        if self.loss_program is None:
            return reach.objective(prediction, batch).mean()
        target = self._target(batch, prediction)
        found, *_ = run(phi["loss"], phi["constants"][0], [prediction.flatten(0, -2), target])
        # A program that only asks on which side of 0 something is has slope 0, and is no dropped graph.
        return found.mean() + 0 * prediction.sum()

    def update(self, phi: Params, params: Params, grads: Params, slots: Params) -> tuple[Params, Params]:
        t = slots["t"] + 1
        kept = [slots[slot] for slot in self._slots]
        # In the order of the weights: gradients may come in another.
        gradient = _flat({name: grads[name] for name in params})
        found, *after = run(phi["update"], phi["constants"][1], [gradient, _flat(params), t, *kept])
        moves = _apart(found, params)
        # A program without constants has derivative 0 in them, and is no dropped graph.
        lr = phi["lr"] + 0 * phi["constants"][0, 0]
        # addcmul is bitwise torch.optim.SGD, and differentiable in lr.
        moved = {name: torch.addcmul(weight, moves[name], -lr) for name, weight in params.items()}
        return moved, {"t": t, **dict(zip(self._slots, after, strict=True))}

    @property
    def _slots(self) -> tuple[str, ...]:
        return self._programs()["update"].form.slots

    def _programs(self) -> dict[str, Formula]:
        """The programs that a life begins with; raises `ConfigError`."""
        found: dict[str, Formula] = {}
        for kind, words in (("loss", self.loss_program), ("update", self.update_program)):
            if words is None:
                continue
            try:
                found[kind] = named(words)
            except ProgramError as error:
                raise ConfigError(f"rule.{kind}_program: {error}") from error
            if found[kind].signature.split()[0] != kind:
                raise ConfigError(explain(expected=f"a program of the kind '{kind}' at rule.{kind}_program",
                                          got=f"'{found[kind].signature}'", do="Name another."))  # fmt: skip
        return found

    def _target(self, batch: Batch, prediction: Tensor) -> Tensor:
        """Targets [n, C] or classes [n] for predictions [n, …, C]; raises `ConfigError` where the loss needs others."""
        signature, y = self._programs()["loss"].signature, batch.get("y")
        if y is not None and y.is_floating_point():
            has, shape, flat = "loss amounts", prediction.shape, (-1, prediction.shape[-1])
        else:
            has, shape, flat = "loss classes", prediction.shape[:-1], (-1,)
        if y is None or has != signature or y.shape != shape:
            got = f"only {sorted(batch)}" if y is None else f"'{has}', y {y.dtype} {list(y.shape)}"
            got += " (no task has preferences yet)" if signature == "loss preferences" else ""
            raise ConfigError(explain(
                expected=f"batches for a '{signature}' of predictions {list(prediction.shape)}", got=got,
                do="Choose rule.loss_program=cross_entropy for classes, squared_error for amounts, null for the task's "
                   "own objective, or another task."
            ))  # fmt: skip
        return y.reshape(flat)


def _flat(params: Params) -> Tensor:
    """All weights in one row [P]."""
    return torch.cat([leaf.reshape(-1) for leaf in params.values()])


def _apart(row: Tensor, like: Params) -> Params:
    """The row again as weights."""
    parts = row.split([leaf.numel() for leaf in like.values()])
    return {name: part.reshape(leaf.shape).to(leaf.dtype)
            for (name, leaf), part in zip(like.items(), parts, strict=True)}  # fmt: skip
