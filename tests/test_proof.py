"""The contract suite: each way in which a member can be broken is told in the right words, and what is sound passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from sandbox.commands import check
from sandbox.core.edit import Edit
from sandbox.core.error import SandboxError
from sandbox.core.protocols import Needs, Score
from sandbox.core.watch import Reading
from sandbox.proof import LAWS, findings, laws, prove, stage
from sandbox.rule.sgd import SGD
from sandbox.task.quadratic import Quadratic

BY_NAME = {law.name: law for law in LAWS}
BOWL = "task=quadratic"
SCORE = Score()


def breaks(law: str, group: str, cls: type, *words: str) -> str:
    """What the law says of a class."""
    on = stage(f"{group}._target_={__name__}.{cls.__name__}", *words)
    with pytest.raises(SandboxError) as told:
        BY_NAME[law](on)
    return str(told.value)


# ---- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Detaches(SGD):
    """Its learning rate never reaches the tape."""

    def update(self, phi, params, grads, slots):
        return {name: weight - phi["lr"].detach() * grads[name] for name, weight in params.items()}, slots


@dataclass(frozen=True)
class HalfDetaches(SGD):
    """A part of the way is off the tape, which no missing gradient shows."""

    def update(self, phi, params, grads, slots):
        rate = 0.5 * phi["lr"] + 0.5 * phi["lr"].detach()
        return {name: weight - rate * grads[name] for name, weight in params.items()}, slots


@dataclass(frozen=True)
class FindsFault(SGD):
    """With what it begins with itself."""

    def fault(self, phi):
        return "a rate that it doesn't like"


@dataclass(frozen=True)
class TellsMore(SGD):
    """Words for a leaf that phi does not have."""

    def written(self, phi):
        return {"rate": "ten per cent"}


@dataclass(frozen=True)
class Draws(SGD):
    """Noise of its own."""

    def readable(self, phi):
        return {"lr": phi["lr"] + torch.rand(())}


@dataclass(frozen=True)
class Overwrites(SGD):
    """Writes where no version counter sees it."""

    def readable(self, phi):
        phi["lr"].data.mul_(2)
        return phi


@dataclass
class Changes(SGD.__mro__[-1]):  # type: ignore[misc]
    """Not frozen."""

    lr: float = 0.01
    init, slots, loss, update, readable = SGD.init, SGD.slots, SGD.loss, SGD.update, SGD.readable
    per_parameter: bool = False


def test_a_rule_that_refuses_what_it_begins_with_or_tells_of_no_leaf_is_told():
    assert "without a fault, and words for leaves of it; got a rate that it doesn't like" in breaks(
        "faultless", "rule", FindsFault, BOWL
    )
    assert "words for ['rate']" in breaks("faultless", "rule", TellsMore, BOWL)


def test_a_dropped_gradient_is_told():
    said = breaks("reached", "rule", Detaches, BOWL)
    assert "every number of phi of Detaches; got no derivative for ['lr']" in said
    assert ".detach()" in said


def test_a_gradient_that_is_wrong_is_told():
    said = breaks("reached", "rule", HalfDetaches, BOWL)
    assert "to agree with finite differences at 'lr' of phi of HalfDetaches" in said
    tape, differences = (float(said.split(word)[0].split()[-1]) for word in (" on the tape", " by differences"))
    assert tape == pytest.approx(differences / 2, rel=1e-3)


def test_a_draw_is_told():
    assert "Draws.readable to be a pure function of what it is handed; got a draw from a global generator" in breaks(
        "pure", "rule", Draws, BOWL
    )


def test_a_hidden_write_is_told():
    assert "Overwrites.readable to be a pure function of what it is handed; got a write" in breaks(
        "pure", "rule", Overwrites, BOWL
    )


def test_a_class_that_can_be_changed_is_told():
    assert "Changes to be frozen; got a dataclass that can be changed. Write @dataclass(frozen=True)" in breaks(
        "told", "rule", Changes, BOWL
    )


# ---- editors, gates, meters, tasks, networks ------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Remembers on the object how often it was asked."""

    asked: list[int] = field(default_factory=list)

    @property
    def needs(self) -> Needs:
        return Needs(edits=("rule/lr",), reads=("rule/lr",), vmapped=False)

    def init(self, edited):
        return {}

    def ask(self, psi, seen):
        self.asked.append(1)
        return Edit({"rule/lr": seen.visible["rule/lr"] * (1 + 0.01 * len(self.asked))}), psi


@dataclass(frozen=True)
class Trespasses(Counts):
    """Asks for what it hasn't declared."""

    def ask(self, psi, seen):
        return Edit({"init": seen.visible["rule/lr"]}), psi


@dataclass(frozen=True)
class Moody:
    """A gate that answers another way each time."""

    trials: int = 1
    score: Score = SCORE
    mood: ClassVar[list[int]] = [0]

    def init(self):
        return {}

    def decide(self, incumbent, candidate, memory):
        self.mood[0] += 1
        return bool(self.mood[0] % 2), "as I please", memory


@dataclass(frozen=True)
class Unsaid:
    """A meter that reads what it hasn't described."""

    every: int = 1
    readings = (Reading("unsaid/one", "One"),)

    def read(self, probe):
        return {"unsaid/other": torch.ones(probe.state.seeds)}


@dataclass(frozen=True)
class Unstable(Quadratic):
    """A bowl that is another each time it is drawn."""

    def draw(self, noise, *, held_out):
        return {"target": torch.rand(self.outputs)}


EDITING = (BOWL, "rule=sgd")


def test_what_is_kept_on_the_object_is_told():
    assert "Counts.ask to be a pure function of what it is handed; got something kept on the object" in breaks(
        "pure", "meta_learner", Counts, *EDITING
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "said"),
    [("repeats", "two runs of the same objects to be the same; got another"),
     ("alone", "seed 1 alone to be seed 1 among others"),
     ("resumes", "goes on from its checkpoint to be the same; got another")],
)  # fmt: skip
def test_and_so_is_what_comes_of_it(law, said):
    assert said in breaks(law, "meta_learner", Counts, *EDITING)


@pytest.mark.slow
def test_an_edit_of_what_was_not_declared_is_told():
    with pytest.raises(SandboxError, match=r"'init'|init"):
        BY_NAME["lives"](stage(f"meta_learner._target_={__name__}.Trespasses", BOWL, "rule=sgd"))


def test_another_answer_to_the_same_question_is_told():
    assert "Moody.decide to be a pure function of what it is handed; got another answer" in breaks(
        "pure", "gate", Moody, BOWL, "rule=sgd"
    )


def test_a_reading_that_nobody_described_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "meter").mkdir(parents=True)
    text = f"# @package meter.unsaid\n# Unsaid.\n_target_: {__name__}.Unsaid\nevery: 1\n"
    (tmp_path / "conf" / "meter" / "unsaid.yaml").write_text(text)
    with pytest.raises(SandboxError, match=r"described: \['unsaid/one'\]; got 'unsaid/other'\. Add a Reading"):
        BY_NAME["shifts_nothing"](stage("meter=unsaid", BOWL, "rule=sgd", "meta_learner=none"))


def test_a_task_that_draws_for_itself_is_told():
    assert "Unstable.draw" in breaks("pure", "task", Unstable, "model=vector")


# ---- the suite ------------------------------------------------------------------------------------------------------


def test_every_group_has_laws_and_an_unknown_one_is_told():
    assert {law.name for law in laws("rule")} >= {"lives", "pure", "reached", "repeats", "alone", "resumes", "replays"}
    with pytest.raises(SandboxError, match=r"a group; got 'rulez'\. Did you mean 'rule'\?"):
        laws("rulez")


@pytest.mark.slow
def test_all_laws_at_once():
    prove("rule=sgd", BOWL)
    with pytest.raises(SandboxError, match=r"(?s)^reached: expected P after three inner steps to depend"):
        prove(f"rule._target_={__name__}.Detaches", BOWL)
    assert [one.law.name for one in findings(stage("gate=always", BOWL, "rule=sgd")) if one.said] == []


@pytest.mark.slow
def test_the_command_says_law_by_law_and_by_its_exit_code(capsys):
    assert check(["rule=sgd", BOWL]) == 0
    assert capsys.readouterr().out.count("kept") == len(laws("rule"))
    assert check([f"rule._target_={__name__}.Detaches", BOWL]) == 1
    assert "BROKEN  reached " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [(["rule=sdg"], "no rule called 'sdg'"), (["rul=sgd"], "Did you mean 'rule'?"), (["rule=sgd,momentum"], "one rule"),
     (["meter._target_=mine.Meter"], "a meter by the name of its file")],
)  # fmt: skip
def test_what_can_t_be_checked_is_told(words, said, capsys):
    assert check(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_member_needs_is_what_its_file_says_or_what_is_found(tmp_path, monkeypatch):
    assert stage("rule=optimizer").config["engine"]["_target_"].endswith("Higher")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "rule").mkdir(parents=True)
    text = "# A bent loss.\n_target_: sandbox.rule.self_distillation.SelfDistillation\nlr: 0.1\n"
    (tmp_path / "conf" / "rule" / "bent.yaml").write_text(text)
    assert stage("rule=bent").config["task"]["_target_"].endswith("NoisyDigits")
