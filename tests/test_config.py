"""A component's class is its schema: what does not fit it is told, with the way out, before anything runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, is_dataclass
from types import ModuleType
from typing import Literal

import pytest
import yaml

from sandbox.config import build, read
from sandbox.core.error import ConfigError
from sandbox.core.score import Score
from sandbox.gate.always import Always
from sandbox.gate.paired_t import PairedT
from sandbox.meta_learner.none import Nothing
from sandbox.meta_learner.yoked import Yoked
from sandbox.places import house, listed
from sandbox.task.gymnasium import Gymnasium
from sandbox.trust import target

PAIRED_T = "sandbox.gate.paired_t.PairedT"


@dataclass(frozen=True)
class Part:
    """With a field of each kind."""

    size: int
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    widths: tuple[int, ...] = ()
    maybe: float | None = None


def make(node, where, **given):
    """Built from the house and from this page."""
    return build(node, where, trust=[__name__.partition(".")[0]], **given)


def part(**fields):
    return {"_target_": f"{__name__}.Part", **fields}


def test_a_node_becomes_its_object():
    assert make(part(size=3, widths=[1, 2], maybe=None, rate=1), "x") == Part(3, 1.0, widths=(1, 2))


def test_a_node_within_is_built_first():
    node = {"_target_": "sandbox.meta_learner.yoked.Yoked", "source": "other run",
            "of": {"_target_": "sandbox.meta_learner.none.Nothing"}}  # fmt: skip
    assert make(node, "meta_learner") == Yoked(Nothing(), "other run")


def test_what_is_given_fills_in_where_the_class_has_it_and_the_node_does_not():
    assert make(part(), "x", size=4, rate=2.0, other=1) == Part(4, 2.0)
    assert make(part(size=5), "x", size=4) == Part(5)
    assert make({"_target_": "sandbox.gate.always.Always"}, "gate", size=4) == Always()


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (part(size="three"), r"expected int at x.size; got 'three'\."),
        (part(size=1.5), r"expected int at x.size; got 1.5\."),
        (part(size=True), r"expected int at x.size; got True\."),
        (part(size=1, rate="fast"), r"expected float at x.rate; got 'fast'\."),
        (part(size=1, rate=False), r"expected float at x.rate; got False\."),
        (part(size=1, kind="c"), r"expected .*\['a', 'b'\] at x.kind; got 'c'\."),
        (part(size=1, widths=["w"]), r"expected tuple\[int, \.\.\.\] at x.widths; got \['w'\]\."),
        (part(), r"expected values for \['size'\] of Part; got nothing\. Set x.size="),
        (part(size=1, rat=1), r"expected a field of Part at x; got 'rat'\. Did you mean 'rate'\?"),
        ({"size": 1}, r"expected x\._target_; got only \['size'\]"),
        ({"_target_": "sandbox.gate.paired_t.PairdT"}, r"an importable class at x\._target_; got .*PairdT"),
        ({"_target_": "no.such.Thing"}, r"an importable class at x\._target_; got 'no\.such\.Thing'\. No package 'no'"),
        ({"_target_": "Thing"}, r"an importable class at x\._target_"),
        ({"_target_": "os.system"}, r"a component at x\._target_; got 'os\.system', which is Python's own"),
        (
            {"_target_": "numpy.ndarray"},
            r"a class of sandbox, .* at x\._target_; got 'numpy\.ndarray'\. .*'trust=\[numpy\]'",
        ),
        ({"_target_": "sandbox.config.build"}, r"a class at x\._target_; got 'sandbox\.config\.build', a function"),
        ({"_target_": PAIRED_T, "trials": 1}, r"gate\.trials of 2 or more with unit 'trial'; got 1"),
    ],
)
def test_what_does_not_fit_is_told(node, said):
    with pytest.raises(ConfigError, match=said):
        make(node, "x")


def test_a_mistake_within_a_node_is_told_by_its_place():
    node = {"_target_": "sandbox.meta_learner.yoked.Yoked", "source": "other run",
            "of": {"_target_": "sandbox.meta_learner.reflective.Reflective", "step": "small"}}  # fmt: skip
    with pytest.raises(ConfigError, match=r"expected float at meta_learner\.of\.step"):
        make(node, "meta_learner")


def test_the_whole_gate_from_words():
    node = {"_target_": PAIRED_T, "trials": 3, "score": {"objective": "calibrated"}}
    assert make(node, "gate") == PairedT(3, score=Score("calibrated"))


def test_a_member_that_extends_another_reads_its_fields_where_they_were_written() -> None:
    """Names of annotations (`Mapping`) are those of the module of the base, and not known here."""

    @dataclass(frozen=True)
    class Walk(Gymnasium):
        steps: int = 3

    node = {"_target_": f"{__name__}.Walk", "options": {"sutton_barto_reward": True}, "episodes": "two"}
    globals()["Walk"] = Walk
    Walk.__qualname__ = "Walk"
    assert make(node | {"episodes": 2}, "task").options == {"sutton_barto_reward": True}
    with pytest.raises(ConfigError, match=r"int at task\.episodes; got 'two'"):
        make(node, "task")


# ---- a member that is taken further in a file of one's own ----------------------------------------------------------


GIVEN = {"inputs": 1, "outputs": 1, "of": Nothing()}  # by the task, and by whoever follows another run
HOUSE = [entry for group in ("task", "rule", "meta_learner", "gate", "meter", "engine", "model")
         for entry in listed(group, [house()]) if entry.target.startswith("sandbox")]  # fmt: skip


@pytest.mark.parametrize("entry", HOUSE, ids=lambda entry: f"{entry.group}={entry.name}")
def test_a_subclass_needs_none_of_the_names_that_its_base_is_annotated_with(entry, monkeypatch):
    base = target(entry.target, entry.group)
    page = ModuleType("anybodys_page")  # imports nothing but the base
    monkeypatch.setitem(sys.modules, page.__name__, page)
    source = "from __future__ import annotations\nclass Further(Base):\n    more: int = 1\n"
    vars(page).update(Base=base, dataclass=dataclass)
    exec(source if not is_dataclass(base) else source.replace("class", "@dataclass(frozen=True)\nclass"), vars(page))
    said = yaml.safe_load(entry.path.read_text())
    node = {key: value for key, value in said.items() if key not in ("_target_", "defaults")}
    found = read({"_target_": "anybodys_page.Further", **node}, entry.group, trust=[page.__name__],
                 given=GIVEN)  # fmt: skip
    assert found.values.keys() >= node.keys()
    as_base = read({"_target_": entry.target, **node}, entry.group, given=GIVEN)
    assert {key: found.values[key] for key in node} == {key: as_base.values[key] for key in node}
