"""Any `nn.Module` as a pure function of what it holds: trained weights, frozen ones and buffers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from sandbox.core.contract import told
from sandbox.core.error import ConfigError, SandboxError, explain
from sandbox.core.protocols import Params
from sandbox.core.random import untouched
from sandbox.model.kernels import twice_differentiable
from sandbox.model.scripted import held_by_scripts, within_scripts


@dataclass(frozen=True)
class Module:
    """`make` builds a fresh module, whatever generator of torch, NumPy or Python it draws from.

    Parameters are the weights; those with `requires_grad=False` stay as they are. Buffers begin with each life. Hooks
    on modules act as in torch, and hooks on a parameter on its gradient. The mode that `make` leaves it in, `train()`
    or `eval()`, is the mode that it is lived in, and scored in too unless `scored` is "eval". Raises `ConfigError` for
    a module that can't be a function of what it holds: a compiled one, or one whose weights don't exist before use.
    """

    make: Callable[[], nn.Module]
    scored: Literal["built", "eval"] = "built"
    template: nn.Module = field(init=False, repr=False, compare=False)  # its code runs; its weights are never used
    trained: tuple[str, ...] = field(init=False, repr=False, compare=False)  # names, as the module has them
    still: tuple[str, ...] = field(init=False, repr=False, compare=False)
    moving: tuple[str, ...] = field(init=False, repr=False, compare=False)
    structure: list[Any] = field(init=False, repr=False, compare=False)
    statistics: tuple[str, ...] = field(init=False, repr=False, compare=False)
    scripted: tuple[str, ...] = field(init=False, repr=False, compare=False)
    recurrent: bool = field(init=False, repr=False, compare=False)
    hooks: bool = field(init=False, repr=False, compare=False)  # whether a parameter has one on its gradient

    def __post_init__(self) -> None:
        module = self.built(0)
        _refuse(module)
        parameters, buffers = dict(module.named_parameters()), dict(module.named_buffers())
        found = {
            "template": _Whole(module),
            "trained": tuple(name for name, one in parameters.items() if one.requires_grad),
            "still": tuple(name for name, one in parameters.items() if not one.requires_grad),
            "moving": tuple(buffers),
            "structure": _structure(module),
            "statistics": tuple(
                f"{where}.{name}".lstrip(".")
                for where, part in module.named_modules()
                if isinstance(part, nn.modules.batchnorm._NormBase)
                for name in part._buffers
            ),
            "scripted": within_scripts(module, (*parameters, *buffers)),
            "hooks": any(one._backward_hooks for one in parameters.values()),
            "recurrent": any(isinstance(part, nn.RNNBase) for part in module.modules()),
        }
        if not found["trained"]:
            raise ConfigError(explain(expected="a network with weights to train", got=_kind(module),
                                      do="Hold modules in nn.ModuleList, or thaw a weight."))  # fmt: skip
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def init(self, rng: int) -> Params:
        return self._held(rng, self.trained)

    def frozen(self, rng: int) -> Params:
        return self._held(rng, self.still)

    def buffers(self, rng: int) -> Params:
        return self._held(rng, self.moving)

    def apply(self, params: Params, x: Tensor) -> Tensor:
        """Predictions of a network that holds nothing but its weights."""
        return self.call(params, {}, {}, x)[0]

    def call(self, params: Params, frozen: Params, buffers: Params, x: Tensor) -> tuple[Tensor, Params]:
        held = {
            **params,
            **frozen,
            **{name: self._fresh(name, buffer) for name, buffer in buffers.items()},
        }  # it may write there
        scripted = {f"net.{name}": held.pop(name) for name in self.scripted}
        with twice_differentiable(recurrent=self.recurrent), held_by_scripts(self.template, scripted):
            prediction, after = functional_call(self.template, {f"net.{name}": one for name, one in held.items()},
                                                (x.clone(),))  # fmt: skip
        return prediction, {name: after[name] for name in buffers}

    def _fresh(self, name: str, buffer: Tensor) -> Tensor:
        """A buffer that a call may write into. Statistics of normalising layers are off the tape, as torch has them."""
        return (buffer.detach() if name in self.statistics else buffer).clone()

    def score(self, params: Params, frozen: Params, buffers: Params, x: Tensor) -> tuple[Tensor, Params]:
        """`call`, as the network is when it is scored."""
        if self.scored == "built":
            return self.call(params, frozen, buffers, x)
        modes = {part: part.training for part in self.template.modules()}
        self.template.eval()
        try:
            return self.call(params, frozen, buffers, x)
        finally:
            for part, mode in modes.items():
                part.training = mode

    def hooked(self, grads: Params) -> Params:
        """The gradients of one lane after the hooks that the class has put on its parameters."""
        parameters = dict(self.template.get_submodule("net").named_parameters())
        found = dict(grads)
        for name in grads:
            for hook in (parameters[name]._backward_hooks or {}).values():
                changed = hook(found[name])
                found[name] = found[name] if changed is None else changed
        return found

    def built(self, rng: int) -> nn.Module:
        """The module that `make` builds under the seed `rng`."""
        with untouched():
            torch.manual_seed(rng)
            np.random.seed(rng % (1 << 32))
            random.seed(rng)
            try:
                module: Any = self.make()
            except SandboxError:
                raise
            except Exception as error:
                raise ConfigError(explain(expected=f"a network under seed {rng}", got=told(error),
                                          do="Mend its constructor."))  from error  # fmt: skip
        if not isinstance(module, nn.Module):
            raise ConfigError(explain(expected="an nn.Module", got=_kind(module), do="Return the network itself."))
        return module

    def _held(self, rng: int, names: tuple[str, ...]) -> Params:
        if not names:
            return {}
        module = self.built(rng)
        if _structure(module) != self.structure:
            raise ConfigError(explain(
                expected="a network that has the same weights, shapes, buffers and hooks under every seed",
                got=f"others under seed {rng}", do="Draw values by the seed, never the structure."))  # fmt: skip
        held: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        return {name: held[name].detach().clone() for name in names}


class _Whole(nn.Module):
    """A module that also tells its buffers after a call, wherever the call has put them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.buffered = any(True for _ in net.buffers())

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.net(x), dict(self.net.named_buffers()) if self.buffered else {}


def _structure(module: nn.Module) -> list[Any]:
    """What every seed's network has in common: the classes of its parts, and of each tensor name, shape, dtype, whether
    it is trained, and how many hooks it has."""
    held = [*module.named_parameters(), *module.named_buffers()]
    parts = [(name, type(part).__name__) for name, part in module.named_modules()]
    return parts + sorted((name, tuple(leaf.shape), str(leaf.dtype), leaf.requires_grad,
                           len(leaf._backward_hooks or ())) for name, leaf in held)  # fmt: skip


def _kind(module: object) -> str:
    return type(module).__name__


def _refuse(module: nn.Module) -> None:
    """Raises `ConfigError` for a module that is no function of what it holds, as far as it can be told by looking."""
    for name, problem, do in _problems(module):
        raise ConfigError(explain(expected="a module that is a function of what it holds", got=f"{problem} at '{name}'",
                                  do=do))  # fmt: skip


def _problems(module: nn.Module) -> Iterator[tuple[str, str, str]]:
    for name, part in module.named_modules():
        if _kind(part) == "OptimizedModule":
            yield name or "itself", "a compiled module", "Its gradients have no derivative: leave out compile."
    yield from _shared(module)
    for name, buffer in module.named_buffers():
        if is_lazy(buffer) or buffer.is_meta or buffer.layout != torch.strided:
            yield name, "a buffer without dense values", "Hold it as dense numbers."
    for name, weight in module.named_parameters():
        if weight.is_meta:
            yield name, "a weight on the meta device, without values", "Build it on a real device."
        if is_lazy(weight):
            yield name, "a lazy layer without weights", "Say its input size: nn.Linear(8, 4), not nn.LazyLinear(4)."
        if weight._post_accumulate_grad_hooks:
            yield name, "a hook on an accumulated gradient", "Nothing accumulates here: use weight.register_hook."
        if weight.is_sparse or weight.dtype.is_complex:
            yield name, f"a {'sparse' if weight.is_sparse else 'complex'} weight", "Hold it as dense real numbers."


def _shared(module: nn.Module) -> Iterator[tuple[str, str, str]]:
    """Different tensors over the same memory: torch trains both when it trains one."""
    seen: dict[int, str] = {}
    for name, leaf in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(leaf) or leaf.is_meta or leaf.layout != torch.strided or not leaf.numel():
            continue
        place = leaf.untyped_storage().data_ptr()
        if place in seen:
            yield name, f"the memory of '{seen[place]}'", "Share the parameter itself: self.b.weight = self.a.weight."
        seen[place] = name
