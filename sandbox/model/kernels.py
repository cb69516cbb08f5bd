"""How torch runs a network whose life is differentiated twice, by weights that are not the module's own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import checkpoint

from sandbox.core.error import ConfigError, explain

WHOLE = ("CheckpointFunction", "_checkpoint_without_reentrant_generator")  # what torch.utils.checkpoint goes through


@contextmanager
def twice_differentiable(*, recurrent: bool) -> Generator[None]:
    """Without the kernels that have no second derivative, fused attention and fused recurrent layers, and without
    checkpoints within the network: what they run again would find the module's own weights."""
    fast, fused = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    plain = {"CheckpointFunction": _Reentrant, "_checkpoint_without_reentrant_generator": _once}
    ours = {name: getattr(checkpoint, name) for name in WHOLE}
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(fused and not recurrent)
    try:
        for name, value in plain.items():
            setattr(checkpoint, name, value)
        with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=not recurrent):
            yield
    finally:
        for name, value in ours.items():
            setattr(checkpoint, name, value)
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(fused)


class _Reentrant:
    """The older kind of checkpoint, which gives no gradient where its inputs ask for none."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *given: Any) -> Any:
        raise ConfigError(explain(expected="checkpoints that can be differentiated twice", got="a reentrant one",
                                  do="Say checkpoint(…, use_reentrant=False)."))  # fmt: skip


def _once(*given: Any, **named: Any) -> Iterator[None]:
    """The newer kind, keeping everything."""
    yield
