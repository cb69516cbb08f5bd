"""Networks of every kind live as a plain loop of torch lives them, and as their derivative says; or are refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sandbox.core.adjoint import FULL
from sandbox.core.error import ConfigError
from sandbox.core.protocols import Act, Batch, Engine, Params, Split, World
from sandbox.core.random import normal
from sandbox.core.state import State, put
from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher
from sandbox.engine.lane import noise_for
from sandbox.engine.network import drawing, keys
from sandbox.engine.plan import plan_of
from sandbox.loop.reflect import Loop
from sandbox.model.module import Module
from sandbox.rule.optimizer import Optimizer
from sandbox.rule.sgd import SGD

pytestmark = pytest.mark.usefixtures("examined")

D = torch.float64
STEPS = 3


@dataclass(frozen=True)
class Waves:
    """y = sin(w · x) for x [8, 3], or for the tokens of [8, 3] if `tokens`."""

    tokens: bool = False
    inputs: int = 3
    outputs: int = 1
    dtype: str = "float64"

    @property
    def noise(self) -> Mapping[str, int]:
        return {"draw": 3, "train": 24, "practice": 24}

    def draw(self, noise: Tensor, *, held_out: bool) -> Params:
        return {"w": normal(noise)}

    def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
        x = normal(noise).reshape(8, 3)
        y = torch.sin(x @ task["w"])[:, None]
        return {"x": (x > 0).long() if self.tokens else x, "y": y}

    def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
        return (prediction - batch["y"]).square().sum(dim=-1)


class Net(nn.Module):
    """Two layers, and what `body` makes of them; `made` adds what it needs."""

    def __init__(self, body: Callable[[Any, Tensor], Tensor], made: Callable[[Any], Any] = lambda net: None) -> None:
        super().__init__()
        self.a, self.o, self.body = nn.Linear(3, 6, dtype=D), nn.Linear(6, 1, dtype=D), body
        made(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


def plain(net: Net, x: Tensor) -> Tensor:
    return net.o(torch.tanh(net.a(x)))


def over(hidden: Callable[[Any, Tensor], Tensor], made: Callable[[Any], Any] = lambda net: None) -> Any:
    """A maker of the network whose hidden layer is `hidden`."""
    return lambda: Net(lambda net, x: net.o(hidden(net, x)), made)


def setting(name: str, make: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda net: setattr(net, name, make())


def buffer(name: str, value: Callable[[], Tensor]) -> Callable[[Any], Any]:
    return lambda net: net.register_buffer(name, value())


def double(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers).double()


# ---- the oracle -----------------------------------------------------------------------------------------------------


def world_of(make: Any, **more: Any) -> World:
    return World(more.pop("task", Waves()), Module(make), more.pop("rule", SGD(lr=0.05)), **more)


def begun(world: World, engine: Engine, seeds: tuple[int, ...] = (0,)) -> State:
    return Loop(world, engine, ()).start(seeds).state


def ours(world: World, engine: Engine, state: State, init: Params, adjoint: Any = None) -> Tensor:
    """P after a life from `init`."""
    lived, _ = engine.unroll(world, engine.born(world, put(state, {"init": init})), STEPS, "life", adjoint)
    return engine.scores(world, lived, "practice", "life").mean()


def theirs(world: World, state: State, init: Params, make: Any, row: int = 0) -> float:
    """The same by a fresh network under torch.optim.SGD; what it draws comes from the same named streams."""
    net = world.model.built(int(state.seed[row]))  # type: ignore[attr-defined]
    net.load_state_dict({name: leaf[row].detach().clone() for name, leaf in init.items()}, strict=False)
    task = {name: leaf[row] for name, leaf in state.task.items()}
    optimizer = torch.optim.SGD([one for one in net.parameters() if one.requires_grad], lr=0.05)

    def loss(t: int, split: Split) -> Tensor:
        now = replace(state, t=t)
        batch = world.task.sample(task, net, noise_for(world, now, "life", split)[row], split)
        with drawing(int(keys(world, now, "life", split, 1)[0, row])):
            return world.task.objective(task, net(batch["x"]), batch).mean()

    for t in range(STEPS):
        optimizer.zero_grad()
        loss(t, "train").backward()
        optimizer.step()
    with torch.no_grad():
        return float(loss(STEPS, "practice"))


def slope(value: Callable[[Params], float], init: Params, way: Params, h: float = 1e-5) -> float:
    up, down = ({name: leaf + sign * h * way[name] for name, leaf in init.items()} for sign in (1, -1))
    return (value(up) - value(down)) / (2 * h)


def agrees(make: Any, engine: Engine, **more: Any) -> None:
    """P of a life off and on the tape is that of the plain loop, and so is its slope along a random direction."""
    world, row = world_of(make, **more), 1
    state = begun(world, engine, (3, 7))
    init = {name: leaf.clone() for name, leaf in state.init.items()}
    generator = torch.Generator().manual_seed(1)
    way = {name: torch.randn(leaf.shape, generator=generator, dtype=D) for name, leaf in init.items()}
    by_hand = theirs(world, state, init, make, row)
    only = engine.born(world, engine.draw(world, Loop(world, engine, ()).start((7,)).state, "life"))
    alone = {name: leaf[row:] for name, leaf in init.items()}
    assert float(ours(world, engine, only, alone).detach()) == pytest.approx(by_hand, abs=1e-10)
    at = {name: leaf.clone().requires_grad_() for name, leaf in alone.items()}
    taped = ours(world, engine, only, at, FULL)
    assert float(taped.detach()) == pytest.approx(by_hand, abs=1e-10)
    grads = torch.autograd.grad(taped, list(at.values()))
    by_tape = sum(float((grad * way[name][row:]).sum()) for name, grad in zip(at, grads, strict=True))
    assert by_tape == pytest.approx(slope(lambda moved: theirs(world, state, moved, make, row), init, way), abs=1e-6)
    assert all(torch.equal(leaf, state.init[name]) for name, leaf in init.items())


# ---- kinds that are lived -------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **more: Any) -> None:
        super().__init__()
        self.reads, self.o = kind(1, 3, num_layers=2, batch_first=True, dtype=D, **more), nn.Linear(3, 1, dtype=D)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.reads(x[..., None])[0][:, -1])


class Attends(nn.Module):
    def __init__(self, layer: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.a, self.t, self.o = nn.Linear(3, 8, dtype=D), layer(), nn.Linear(8, 1, dtype=D)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).reshape(-1, 2, 4)
        mixed = self.t(h, h, h, need_weights=False)[0] if isinstance(self.t, nn.MultiheadAttention) else self.t(h)
        return self.o(mixed.reshape(-1, 8))


def tied(net: Any) -> None:
    net.b, net.c = nn.Linear(6, 6, dtype=D), nn.Linear(6, 6, dtype=D)
    net.b.weight = net.c.weight


def frozen(net: Any) -> None:
    net.a.requires_grad_(False)


def counted(net: Any, x: Tensor) -> Tensor:
    net.n += 1
    return torch.tanh(net.a(x)) * (1 + 0.1 * net.n)


def halves(x: Tensor) -> Tensor:
    x.sub_(0.5)
    return x


def energy(net: Any, x: Tensor) -> Tensor:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        found = torch.autograd.grad(net.o(torch.tanh(net.a(x))).sum(), x, create_graph=True)[0]
    return found.sum(1, keepdim=True) + 0 * net.o.bias


def heads(net: Any, x: Tensor) -> Tensor:
    q = net.a(x).reshape(-1, 1, 3, 2)
    return torch.tanh(F.scaled_dot_product_attention(q, q, q)).reshape(-1, 6)


LIVED: dict[str, Any] = {
    "batch statistics": lambda: double(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1)),
    "running statistics": lambda: double(nn.Linear(3, 6), nn.BatchNorm1d(6).eval(), nn.Tanh(), nn.Linear(6, 1)),
    "a count in a buffer": over(counted, buffer("n", lambda: torch.zeros((), dtype=D))),
    "a buffer of its seed": over(
        lambda net, x: torch.tanh(net.a(torch.cos(x @ net.b))), buffer("b", lambda: torch.randn(3, 3, dtype=D))
    ),
    "frozen weights": lambda: Net(plain, frozen),
    "dropout": over(lambda net, x: F.dropout(torch.tanh(net.a(x)), 0.3)),
    "a draw of NumPy and Python": over(lambda net, x: torch.tanh(net.a(x) + np.random.rand() + random.random())),
    "stochastic depth": over(lambda net, x: net.a(x) if torch.rand(()) < 0.5 else torch.tanh(net.a(x))),
    "recurrent dropout": lambda: Recurrent(nn.LSTM, dropout=0.4),
    "an LSTM": lambda: Recurrent(nn.LSTM),
    "a GRU": lambda: Recurrent(nn.GRU),
    "attention": lambda: Attends(lambda: nn.MultiheadAttention(4, 2, batch_first=True, dtype=D)),
    "fused attention": over(heads),
    "a transformer's layer": lambda: Attends(
        lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, dtype=D)
    ),
    "one weight in two layers": over(lambda net, x: net.b(torch.tanh(net.c(torch.tanh(net.a(x))))), tied),
    "one module under two parents": lambda: Net(plain, lambda net: setattr(net, "again", nn.Sequential(net.a, net.o))),
    "weights in a list of parameters": over(
        lambda net, x: torch.tanh(net.a(x) * net.w[0]),
        setting("w", lambda: nn.ParameterList([torch.ones(6, dtype=D)])),
    ),
    "a hook on a module": over(
        lambda net, x: torch.tanh(net.a(x)), lambda net: net.a.register_forward_hook(lambda m, i, out: 3 * out)
    ),
    "a hook on a gradient": lambda: Net(plain, lambda net: net.a.weight.register_hook(lambda grad: 0.3 * grad)),
    "a checkpoint within": over(
        lambda net, x: checkpoint(lambda h: torch.tanh(net.a(h)), x, use_reentrant=False)
    ),
    "a gradient within": lambda: Net(energy),
    "a write into its input": over(lambda net, x: torch.tanh(net.a(halves(x)))),
    "an activation in place": lambda: double(nn.Linear(3, 6), nn.ELU(inplace=True), nn.Linear(6, 1)),
    "a branch on data": over(lambda net, x: torch.tanh(net.a(x if float(x.mean()) > 0 else -x))),
    "a slash in a name": over(
        lambda net, x: torch.tanh(net.h["en/fr"](x) + net.a(x)),
        setting("h", lambda: nn.ModuleDict({"en/fr": nn.Linear(3, 6, dtype=D)})),
    ),
    "a scripted module": lambda: torch.jit.script(double(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))),
    "a scripted part": over(
        lambda net, x: net.s(net.a(x)),
        setting("s", lambda: torch.jit.script(double(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Tanh()))),
    ),
    "a convolution and max-pooling": over(
        lambda net, x: F.max_pool1d(torch.tanh(net.c(net.a(x)[:, None])), 2).flatten(1),
        setting("c", lambda: nn.Conv1d(1, 2, 3, padding=1, dtype=D)),
    ),
    "normalised layers": lambda: double(nn.Linear(3, 6), nn.GroupNorm(2, 6), nn.LayerNorm(6), nn.Linear(6, 1)),
    "a cache of its first call": over(
        lambda net, x: torch.tanh(net.a(x) * cached(net)),
    ),
}  # fmt: skip


def cached(net: Any) -> Tensor:
    if not hasattr(net, "kept"):
        net.kept = torch.linspace(0.5, 1, 6, dtype=D)
    return net.kept


SCRIPTED = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")  # torch says that it is old


@SCRIPTED
@pytest.mark.parametrize("kind", LIVED)
def test_a_network_lives_as_in_a_plain_loop(kind: str) -> None:
    agrees(LIVED[kind], Functional())


@pytest.mark.parametrize("kind", ["batch statistics", "frozen weights", "dropout", "an LSTM", "a hook on a gradient"])
def test_so_it_does_under_the_other_engine(kind: str) -> None:
    agrees(LIVED[kind], Higher())


@SCRIPTED
@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in LIVED if kind != "dropout"])
def test_every_kind_lives_so_under_the_other_engine(kind: str) -> None:
    agrees(LIVED[kind], Higher())


def test_tokens_are_embedded_and_pooled() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.e, self.o = nn.Embedding(2, 4, dtype=D), nn.Linear(2, 1, dtype=D)

        def forward(self, x: Tensor) -> Tensor:
            return self.o(F.max_pool1d(torch.tanh(self.e(x)).mean(1)[:, None], 2)[:, 0])

    agrees(Reads, Functional(), task=Waves(tokens=True))


# ---- kinds that are refused -----------------------------------------------------------------------------------------


def calls(net: Any, x: Tensor) -> Tensor:
    net.calls += 1
    return torch.tanh(net.a(x)) * (1 + 0.1 * net.calls)


def remembers(net: Any, x: Tensor) -> Tensor:
    h = net.a(x)
    net.mean = 0.9 * net.mean + 0.1 * h.detach().mean(0)
    return torch.tanh(h - net.mean)


def late(net: Any, x: Tensor) -> Tensor:
    if not hasattr(net, "late"):
        net.late = nn.Linear(3, 6, dtype=D)
    return torch.tanh(net.a(x) + net.late(x))


def clamps(net: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        net.a.weight.clamp_(-0.1, 0.1)
    return torch.tanh(net.a(x))


class Wrong(torch.autograd.Function):
    """tanh, whose derivative leaves no graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.y = x.tanh()
        return ctx.y.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * (1 - ctx.y.detach() ** 2)


def spectral(net: Any) -> None:
    net.a = nn.utils.parametrizations.spectral_norm(net.a)


def kept(net: Any, x: Tensor) -> Tensor:
    net.k = 0.9 * net.k + 0.1 * net.a(x).mean(0)
    return net.k


def tied_by_data(net: Any) -> None:
    net.b = nn.Linear(3, 6, dtype=D)
    net.b.weight.data = net.a.weight.data


def decayed(net: Any) -> None:
    weight = net.a.weight
    weight.register_hook(lambda grad: grad + 0.5 * weight.detach())


def listed(net: Any) -> None:
    net.r = nn.Parameter(torch.zeros(6, dtype=D))
    net.held = [net.r]


def sized_by_seed(net: Any) -> None:
    net.w = nn.Parameter(torch.randn(int(torch.randint(1, 1000, ())), dtype=D))


def frozen_by_seed(net: Any) -> None:
    net.a.requires_grad_(bool(torch.rand(()) < 0.5))


class Ticks:
    """Counts where no buffer is."""

    n = 0

    def __call__(self) -> float:
        self.n += 1
        return 1 + 0.1 * self.n


CENTRES = setting("c", lambda: nn.Parameter(torch.randn(6, 6, dtype=D)))
REFUSED: dict[str, tuple[Any, str]] = {
    "a count outside its buffers": (over(calls, setting("calls", int)), "'calls' changes with each call"),
    "a mean outside its buffers": (over(remembers, setting("mean", lambda: torch.zeros(6, dtype=D))), "'mean' changes"),
    "a generator of its own": (
        over(lambda net, x: net.a(x) + torch.randn(6, generator=net.g, dtype=D), setting("g", torch.Generator)),
        "'g' changes with each call",
    ),
    "a tensor of its seed": (
        over(lambda net, x: torch.tanh(net.a(x) + net.c), setting("c", lambda: torch.randn(6, dtype=D))),
        "neither a weight nor a buffer",
    ),
    "modules in a plain list": (
        over(lambda net, x: torch.tanh(net.a(x) + net.l[0](x)), setting("l", lambda: [nn.Linear(3, 6, dtype=D)])),
        "nn.ModuleList",
    ),
    "a layer made by a call": (over(late), "'late.weight' is made by a call"),
    "a write into its weights": (over(clamps), "write in place|writes into 'a.weight'"),
    "memory shared by two weights": (
        over(lambda net, x: torch.tanh(net.a(x) + net.b(x)), tied_by_data), "the memory of 'a.weight'",
    ),
    "a hook that reads the module's own weight": (lambda: Net(plain, decayed), "plain loop of torch"),
    "a weight that is reached by a list": (
        over(lambda net, x: torch.tanh(net.a(x)) * (net.held[0] + net.r + 1), listed), "plain loop of torch",
    ),
    "a shape of the seed": (over(lambda net, x: torch.tanh(net.a(x)) + net.w.sum(), sized_by_seed), "every seed"),
    "a layer of the seed": (
        lambda: Net(plain, setting("f", lambda: nn.Tanh() if torch.rand(()) < 0.5 else nn.ReLU())),
        "every seed",
    ),
    "a kept value with its graph": (
        over(lambda net, x: torch.tanh(net.a(x) - kept(net, x)), buffer("k", lambda: torch.zeros(6, dtype=D))),
        "torch itself can't train it",
    ),
    "weights that a seed freezes": (lambda: Net(plain, frozen_by_seed), "every seed"),
    "a count in an object": (
        over(lambda net, x: torch.tanh(net.a(x)) * net.t(), setting("t", Ticks)), "'t' changes with each call",
    ),
    "a constructor that fails": (lambda: Net(plain, lambda net: 1 / 0), "division by zero"),
    "no module": (lambda: None, "got NoneType"),
    "a mean that is cut off the tape": (
        over(remembers, buffer("mean", lambda: torch.zeros(6, dtype=D))), "by central differences",
    ),
    "a power iteration": (lambda: Net(plain, spectral), "by central differences"),
    "a derivative without its own": (over(lambda net, x: Wrong.apply(net.a(x))), "by central differences"),
    "distances": (
        over(lambda net, x: torch.exp(-torch.cdist(net.a(x), net.c)), CENTRES), "no second derivative",
    ),
    "normalised weights, whose second derivative torch has wrong": (
        lambda: Net(plain, lambda net: setattr(net, "a", nn.utils.parametrizations.weight_norm(net.a))),
        "by central differences",
    ),
    "straight-through rounding": (
        over(lambda net, x: net.a(x) + (net.a(x).round() - net.a(x)).detach()), "by central differences",
    ),
    "an activation cut off the tape": (
        over(lambda net, x: net.a(x) + torch.tanh(net.a(x)).detach()), "by central differences",
    ),
    "an orthogonal weight, which jumps": (
        lambda: Net(plain, lambda net: setattr(net, "a", nn.utils.parametrizations.orthogonal(net.a))), "P jumps",
    ),
    "a weight that no loss uses": (
        lambda: Net(plain, setting("u", lambda: nn.Linear(2, 2, dtype=D))), "no gradient for",
    ),
    "a reentrant checkpoint": (
        over(lambda net, x: checkpoint(lambda h: torch.tanh(net.a(h)), x, use_reentrant=True)), "use_reentrant=False",
    ),
    "a lazy layer": (lambda: nn.LazyLinear(1, dtype=D), "Say its input size"),
    "nothing to train": (lambda: nn.Linear(3, 1, dtype=D).requires_grad_(False), "weights to train"),
    "weights of no seed": (
        over(
            lambda net, x: net.s * net.a(x),
            setting("s", lambda: nn.Parameter(torch.tensor(np.random.default_rng().random(), dtype=D))),
        ),
        "is another each time that seed",
    ),
    "a prediction without its last dimension": (lambda: Net(lambda net, x: plain(net, x)[:, 0]), r"\[8, …, 1\]"),
    "a dict": (lambda: Net(lambda net, x: {"y": plain(net, x)}), "got dict"),  # type: ignore[arg-type, return-value]
}  # fmt: skip


@pytest.mark.parametrize("engine", [Functional(), Higher()], ids=["functional", "higher"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_function_of_what_it_holds_is_refused_before_the_first_step(kind: str, engine: Engine) -> None:
    make, said = REFUSED[kind]
    with pytest.raises(ConfigError, match=said):
        begun(world_of(make), engine)


@pytest.mark.slow  # torch.compile takes seconds to import
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_module_is_refused() -> None:
    with pytest.raises(ConfigError, match="a compiled module"):
        Module(lambda: torch.compile(nn.Linear(3, 1)))  # type: ignore[arg-type, return-value]


def test_without_a_tape_only_what_is_lived_has_to_be_right() -> None:
    """An editor that takes no derivative may edit around a power iteration."""
    from sandbox.core.protocols import Level
    from sandbox.gate.always import Always
    from sandbox.meta_learner.meta_gradient import MetaGradient
    from sandbox.meta_learner.none import Nothing

    world = world_of(lambda: Net(plain, spectral))
    list(Loop(world, Functional(), (Level(Nothing(), Always(), 2),)).run([0], 1))
    with pytest.raises(ConfigError, match=r"slope of P \(for MetaGradient\)"):
        Loop(world, Functional(), (Level(MetaGradient(edits=("rule/lr",)), Always(), 2),)).start([0])


def test_who_means_it_can_go_without_the_check() -> None:
    Loop(world_of(REFUSED["a derivative without its own"][0]), Functional(), (), check=False).start([0])


# ---- what each costs ------------------------------------------------------------------------------------------------


def test_lives_go_side_by_side_where_they_can_and_one_by_one_where_they_must() -> None:
    together, alone = world_of(LIVED["batch statistics"]), world_of(LIVED["an LSTM"])
    assert not plan_of(together).why
    assert plan_of(alone).why
    notes = [finding.note for finding in Functional().examine(alone, 0)]
    assert any(note.startswith("lives go one by one") for note in notes)


def test_what_a_network_draws_is_of_seed_stream_and_moment_alone() -> None:
    world = world_of(LIVED["dropout"], tasks=2)
    both, one = (Loop(world, Functional(), ()).start(seeds).state for seeds in ((4, 5), (5,)))
    for stream in ("life", "other"):
        together, _ = Functional().unroll(world, both, 2, stream, None)
        alone, _ = Functional().unroll(world, one, 2, stream, None)
        assert all(torch.equal(leaf[2:], alone.params[name]) for name, leaf in together.params.items())
    scores = [Functional().scores(world, both, "practice", stream) for stream in ("life", "life", "other")]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])
    lanes = Functional().scores(replace(world, task=Waves()), both, "practice", "life")
    assert not torch.equal(lanes[0], lanes[1])


def test_a_network_that_draws_only_later_draws_from_its_stream() -> None:
    """Nothing is drawn before its third call, and then as the seed says."""
    make = over(
        lambda net, x: F.dropout(counted(net, x), 0.5) if float(net.n) > 2 else counted(net, x),
        buffer("n", lambda: torch.zeros((), dtype=D)),
    )
    world = World(Waves(), Module(make), SGD(lr=0.05))
    for engine in (Functional(), Higher()):
        state = Loop(world, engine, (), check=False).start([0]).state
        lives = [engine.unroll(world, state, 5, "life", None)[1] for _ in range(2)]
        assert torch.equal(*lives)


def test_a_mask_may_be_infinite_and_statistics_checkpointed() -> None:
    from sandbox.core.adjoint import Adjoint
    from sandbox.core.protocols import Level
    from sandbox.gate.always import Always
    from sandbox.meta_learner.meta_gradient import MetaGradient

    masked = over(
        lambda net, x: torch.softmax(net.a(x) + net.m, dim=-1),
        buffer("m", lambda: torch.tensor([0.0] * 5 + [-torch.inf])),
    )
    for make in (masked, LIVED["batch statistics"]):
        editor = MetaGradient(edits=("rule/lr",), adjoint=Adjoint(checkpoint=2))
        loop = Loop(world_of(make), Functional(), (Level(editor, Always(), 4),))
        assert len(list(loop.run([0], 2))) == 3


def test_buffers_are_of_a_life_and_begin_with_it() -> None:
    world, engine = world_of(LIVED["a count in a buffer"], tasks=2), Functional()
    state = begun(world, engine, (0, 1))
    assert state.buffers["n"].tolist() == [0] * 4
    lived, _ = engine.unroll(world, state, 3, "life", None)
    assert lived.buffers["n"].tolist() == [3] * 4
    engine.scores(world, lived, "practice", "life")
    assert lived.buffers["n"].tolist() == [3] * 4
    assert engine.born(world, lived).buffers["n"].tolist() == [0] * 4


def test_a_network_may_be_scored_in_eval_mode() -> None:
    """By the running statistics that its life has gathered, and without dropout."""
    layers = [nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1)]
    world, engine = World(Waves(), Module(lambda: double(*map(deepcopy, layers)), "eval"), SGD(lr=0.05)), Functional()
    with pytest.raises(ConfigError, match="slope of P"):  # torch gathers statistics off the tape
        begun(world, engine)
    lived, _ = engine.unroll(world, Loop(world, engine, (), check=False).start([0]).state, 3, "life", None)
    net = world.model.built(0).eval()  # type: ignore[attr-defined]
    net.load_state_dict({name: leaf[0] for name, leaf in {**lived.params, **lived.buffers}.items()})
    task = {name: leaf[0] for name, leaf in lived.task.items()}
    batch = world.task.sample(task, net, noise_for(world, lived, "life", "practice")[0], "practice")
    by_hand = world.task.objective(task, net(batch["x"]), batch)
    torch.testing.assert_close(engine.scores(world, lived, "practice", "life")[0], by_hand.detach())


def test_frozen_weights_are_no_weights_of_a_life() -> None:
    world = world_of(LIVED["frozen weights"])
    state = begun(world, Functional())
    assert set(state.init) == set(state.params) == {"o.weight", "o.bias"}
    assert set(state.fixed["frozen"]) == {"a.weight", "a.bias"}


def test_one_example_alone_has_no_loss_where_examples_are_normalised_by_each_other() -> None:
    from sandbox.core.error import UndefinedError

    world = world_of(LIVED["batch statistics"])
    with pytest.raises(UndefinedError, match="more than 1 value per channel"):
        Functional().own_losses(world, begun(world, Functional()), "practice", "life")


def test_targets_that_would_broadcast_are_refused() -> None:
    @dataclass(frozen=True)
    class Flat(Waves):
        def sample(self, task: Params, act: Act, noise: Tensor, split: Split) -> Batch:
            batch = super().sample(task, act, noise, split)
            return {"x": batch["x"], "y": batch["y"][:, 0]}

    with pytest.raises(ConfigError, match=r"a number of its own.*predictions \[8, 1\].*y \[8\]"):
        begun(world_of(partial(Net, plain), task=Flat()), Functional())


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "Adadelta", "Adamax", "RMSprop"])
@pytest.mark.filterwarnings("ignore:Differentiable RMSprop")
def test_an_optimizer_is_finite_where_a_gradient_is_exactly_zero(name: str) -> None:
    """Half of the units are dead."""

    def make() -> nn.Module:
        net = double(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
        with torch.no_grad():
            net[0].bias[:3] = -50.0  # type: ignore[index]
        return net

    begun(world_of(make, rule=Optimizer(name, lr=0.01)), Higher())


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-7])
def test_adam_is_torch_s_however_small_the_loss(scale: float) -> None:
    @dataclass(frozen=True)
    class Scaled(Waves):
        def objective(self, task: Params, prediction: Tensor, batch: Batch) -> Tensor:
            return scale * super().objective(task, prediction, batch)

    world = world_of(partial(Net, plain), task=Scaled(), rule=Optimizer("Adam", lr=0.01))
    state = begun(world, Higher())
    lived, _ = Higher().unroll(world, state, 4, "life", None)
    net = world.model.built(0)  # type: ignore[attr-defined]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    task = {name: leaf[0] for name, leaf in state.task.items()}
    for t in range(4):
        batch = world.task.sample(task, net, noise_for(world, replace(state, t=t), "life", "train")[0], "train")
        optimizer.zero_grad()
        world.task.objective(task, net(batch["x"]), batch).mean().backward()
        optimizer.step()
    for name, weight in net.named_parameters():
        torch.testing.assert_close(lived.params[name][0], weight.detach(), rtol=1e-12, atol=1e-13)
