"""What may be built: nothing is imported, let alone run, before somebody has said that it may be."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import experiment, places
from sandbox.about import provenance
from sandbox.compose import composed
from sandbox.config import build, classes, read
from sandbox.core.error import ConfigError
from sandbox.replay import replay
from sandbox.rule.sgd import SGD
from sandbox.trust import SEAMS, lacking, members, target

HERE = __name__.partition(".")[0]
TINY = ["task=quadratic", "rule=sgd", "meta_learner=none", "seeds=1", "steps=2", "horizon=1", "meter=[]",
        "tracker=[jsonl]"]  # fmt: skip


@dataclass(frozen=True)
class Holds:
    """A rule that holds another part."""

    part: Any = None
    parts: tuple[Any, ...] = ()
    by_name: Mapping[str, Any] | None = None
    init = slots = loss = update = readable = SGD.init


@pytest.fixture
def stranger(tmp_path, monkeypatch) -> Path:
    """A package that leaves a mark when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "stranger.py").write_text(
        "from pathlib import Path\nfrom subprocess import Popen\nfrom sandbox.rule.sgd import SGD\n"
        f"Path({str(tmp_path / 'mark')!r}).touch()\n\nclass Mine(SGD):\n    pass\n"
    )
    yield tmp_path / "mark"
    sys.modules.pop("stranger", None)


@dataclass(frozen=True)
class Calls:
    """A rule that calls something of its user's."""

    part: Callable[..., Any] | str = ""
    init = slots = loss = update = readable = SGD.init


def made(size: int = 2, by: str = "hand") -> tuple[int, str]:
    return size, by


def test_a_function_is_called_where_a_callable_belongs() -> None:
    node = {"_target_": f"{__name__}.Calls", "part": {"_target_": f"{__name__}.made", "size": 5}}
    assert build(node, "rule", trust=[HERE]).part() == (5, "hand")
    plain = read(node, "rule", trust=[HERE]).plain()["part"]
    assert plain == {"_target_": f"{__name__}.made", "size": 5, "by": "hand"}  # what it is, defaults and all
    assert list(classes({"rule": node}, trust=[HERE])) == [Calls, made]
    assert f"{__name__}.made" in provenance([made])
    with pytest.raises(ConfigError, match="Did you mean 'size'"):
        build({**node, "part": {**node["part"], "sise": 5}}, "rule", trust=[HERE])
    with pytest.raises(ConfigError, match=r"int at rule\.part\.size"):
        build({**node, "part": {**node["part"], "size": "many"}}, "rule", trust=[HERE])


@pytest.mark.parametrize("path", ["os.system", "subprocess.run", "numpy.load", f"{__name__}.Path"])
def test_a_function_is_held_to_the_same_rule_as_a_class(path: str) -> None:
    with pytest.raises(ConfigError, match=r"Python's own|trust="):
        build({"_target_": f"{__name__}.Calls", "part": {"_target_": path}}, "rule", trust=[HERE])


def test_where_no_callable_belongs_a_function_is_refused() -> None:
    for node in (f"{__name__}.made", f"{__name__}.Holds"):
        inner = {"_target_": f"{__name__}.made"} if node.endswith("Holds") else {}
        with pytest.raises(ConfigError, match="a class at"):
            build({"_target_": node, **({"part": inner} if inner else {})}, "rule", trust=[HERE])


PLACES = [
    lambda node: node,
    lambda node: {"_target_": f"{__name__}.Holds", "part": node},
    lambda node: {"_target_": f"{__name__}.Holds", "parts": [node]},
    lambda node: {"_target_": f"{__name__}.Holds", "by_name": {"a": node}},
]


@pytest.mark.parametrize("place", PLACES)
def test_a_stranger_s_package_is_not_even_imported(place, stranger):
    with pytest.raises(
        ConfigError, match=r"got 'stranger\.Mine'\. To import a package runs it\..*'trust=\[stranger\]'"
    ):
        build(place({"_target_": "stranger.Mine"}), "rule", trust=[HERE])
    assert not stranger.exists()
    built = build(place({"_target_": "stranger.Mine"}), "rule", trust=[HERE, "stranger"])
    assert stranger.exists()
    assert "stranger" in repr(built) or "Mine" in repr(built)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["subprocess.Popen", "os.system", "builtins.exec", "pathlib.Path"])
def test_python_s_own_is_built_for_nobody(name, place):
    with pytest.raises(ConfigError, match="which is Python's own"):
        build(place({"_target_": name, "args": ["touch", "x"]}), "rule", trust=[HERE, name.partition(".")[0]])


@pytest.mark.parametrize("name", ["stranger.Popen", "sandbox.about.Path", "sandbox.sweep.job.DictConfig"])
def test_a_module_that_may_be_built_from_does_not_lend_what_it_imports(name, stranger):
    with pytest.raises(ConfigError, match=r"which is Python's own|a class of sandbox"):
        target(name, "x", trust=["stranger"])


def test_networks_of_torch_are_models_and_nothing_else():
    assert target("torch.nn.Linear", "model").__name__ == "Linear"
    assert target("torch.nn.Linear", "model.inner").__name__ == "Linear"
    for where in ("rule", "gate", "meter.x"):
        with pytest.raises(ConfigError, match="a class of sandbox"):
            target("torch.nn.Linear", where)
    with pytest.raises(ConfigError, match="a class of sandbox"):
        target("torch.optim.SGD", "model")


@pytest.mark.parametrize("where", [*SEAMS, "level 1.gate", "above[0].meta_learner"])
def test_what_does_not_fit_the_seam_is_refused(where):
    with pytest.raises(ConfigError, match=rf"expected a \w+ at {re.escape(where)}\._target_"):
        target("sandbox.core.state.State", where)


def test_a_seam_s_properties_are_looked_for_in_what_was_built():
    class Bare:
        def read(self, probe):
            return {}

    assert members(SEAMS["meter"]) == ["every", "read", "readings"]
    assert lacking(Bare(), SEAMS["meter"]) == ["every", "readings"]
    bare = Bare()
    bare.every, bare.readings = 3, ()  # type: ignore[attr-defined]
    assert lacking(bare, SEAMS["meter"]) == []


def test_an_installed_plug_in_is_trusted(monkeypatch, stranger):
    class Entry:
        name, value = "stranger", "stranger.conf"

    monkeypatch.setattr(places, "entries", lambda: (Entry(),))
    monkeypatch.syspath_prepend(str(stranger.parent))
    assert target("stranger.Mine", "rule").__name__ == "Mine"


def test_a_run_folder_grants_itself_no_trust(stranger, tmp_path):
    """A stranger's run, whose configuration says that it is to be trusted."""
    folder = experiment.perform(composed(TINY) | {"runs": str(tmp_path / "runs")})
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config |= {"rule": {"_target_": "stranger.Mine"}, "trust": ["stranger"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=r"got 'stranger\.Mine'.*--trust stranger"):
        replay(folder)
    assert not stranger.exists()
    assert replay(folder, trust=["stranger"]) == 3
    assert stranger.exists()


@pytest.mark.parametrize("named", [3, [3], [""], {"a": 1}])
def test_what_is_no_name_of_a_package_is_told(named):
    with pytest.raises(ConfigError, match="names of packages at trust"):
        experiment.identity(composed(TINY) | {"trust": named})
