"""A language model holds the pen: it proposes programs in words, and the gate judges them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, explain
from sandbox.core.journal import Answer, Question, Told
from sandbox.core.protocols import Heard, Needs, Params, Seen
from sandbox.meta_learner import proposals
from sandbox.meta_learner.endpoint import NAME, Endpoint, OutageError, checked_url
from sandbox.meta_learner.prompt import named, prompt
from sandbox.meta_learner.talk import ATTEMPTS, STAGES, Talk
from sandbox.program import force
from sandbox.program.answer import Read
from sandbox.program.archive import Archive
from sandbox.program.canonical import canonical
from sandbox.program.cascade import Proposal, Screen
from sandbox.program.formulas import NUMBERS, Formulas, checked_edits, kept_in, paths, seen_in
from sandbox.program.program import Program
from sandbox.program.tensor import held
from sandbox.program.text import write

PROPOSED, NONE_VALID, SPENT, OUTAGE = range(4)  # what a conversation has come to
SAID = ("a proposal", "no edit: none of the model's answers can be tried", "no edit: the budget is spent",
        "no edit: an outage, nobody answered")  # fmt: skip
WORDS = 240  # bytes of a fault that are remembered
OURS = ("model", "messages", "stream", "n", "tools", "functions")  # of a request; the proposer sets them


@dataclass(frozen=True)
class Proposer:
    """A model proposes one program a reflective step, for rule/loss or rule/update, as far as `edits` names them.

    It is shown the language, `about` (the task in words: it is told nothing else of it), the programs that stand, and
    of those proposed before the `shown` best and latest with what the gate measured of them. A fault of the parser goes
    back to it at most twice; so does a program that was tried before in whatever spelling, or can't teach
    (`program.cascade`). What is tried is the canonical form, with its numbers as the weights' dtype holds them.

    `calls` (requests), `tokens` and `seconds` are a seed's budget; psi keeps what is spent, and `most` programs.
    `outage`: where no answer can be had, the run stops, to go on by the same command ("stop"), or goes on without an
    edit ("skip"). The key is read from the environment variable `key_variable`, and written nowhere.
    """

    edits: tuple[str, ...] = ("rule/loss",)
    model: str = ""
    base_url: str = ""
    key_variable: str = "OPENAI_API_KEY"
    about: str = ""
    shown: int = 8
    most: int = 128
    calls: int = 500
    tokens: int = 1_000_000
    seconds: float = 7200.0
    timeout: float = 60.0
    retries: int = 4
    outage: Literal["stop", "skip"] = "stop"
    request: dict[str, Any] = field(default_factory=lambda: {"max_tokens": 2000})

    def __post_init__(self) -> None:
        checked_edits(self.edits)
        if not NAME.match(self.key_variable):
            raise ConfigError(explain(expected="the NAME of an environment variable at meta_learner.key_variable",
                                      got="another form", do="Never the key itself: it would be kept."))  # fmt: skip
        least = {"shown": 1, "most": 2, "calls": 0, "tokens": 0, "seconds": 0, "retries": 0}
        low = [name for name, at_least in least.items() if not getattr(self, name) >= at_least]
        if low or not self.timeout > 0:
            raise ConfigError(explain(expected="budgets and limits that are not negative, timeout above 0",
                                      got=f"meta_learner.{(low or ['timeout'])[0]} of less",
                                      do="Usual: shown 8, most 128, timeout 60."))  # fmt: skip
        taken = [name for name in OURS if name in self.request]
        if taken:
            raise ConfigError(explain(expected="options of a request that are yours to set", got=f"request.{taken[0]}",
                                      do="Leave it out: the proposer sets it."))  # fmt: skip
        checked_url(self.base_url)

    @property
    def needs(self) -> Needs:
        leaves = paths(self.edits)
        return Needs(edits=leaves, reads=leaves, answers=True, vmapped=False, lasting=True)

    def ready(self) -> None:
        """Raises `ConfigError` where it is plain before the first step that nobody can be asked."""
        self._endpoint.ready()

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        return proposals.begun(self.most, ATTEMPTS, WORDS, seen_in(edited))

    # ---- what is asked of the model ---------------------------------------------------------------------------------

    def consult(self, question: Question, psi: Params, seen: Seen) -> Told:
        """One proposal, or why there is none, as tensors; and the whole conversation as the transcript."""
        left = [most - used for most, used in zip(self._budget, psi["spent"].tolist(), strict=True)]
        if min(left) <= 0:
            return Told(_answer(SPENT))
        now, dtype = seen_in(seen.visible), seen.visible[NUMBERS].dtype
        archive = proposals.archive_of(psi, now, int(seen.step))
        known = proposals.known(archive)
        messages = prompt(self.about, now, known, proposals.texts(psi["said"]), self.shown)
        talk = Talk(self._endpoint, messages, named(now, known), partial(_ends, archive, now, dtype))
        found, status = None, NONE_VALID
        try:
            found = talk.proposal(left)
            status = PROPOSED if found else NONE_VALID
        except OutageError:
            if self.outage == "stop":
                raise
            status = OUTAGE
        placed, parent = (_placed(now, found.program, dtype), _parent(archive, found)) if found else (None, -1)
        return Told(_answer(status, talk, placed, parent), talk.transcript(question, SAID[status]))

    # ---- what is a function of the state ----------------------------------------------------------------------------

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        answer, status, now = seen.answer, int(seen.answer["status"]), seen_in(seen.visible)
        archive = proposals.archive_of(psi, now, int(seen.step))
        first = int(archive["count"])
        stages = [STAGES[stage] for stage in answer["stages"].tolist()]
        tried = [_tried(first + i, stages[i], why=why) for i, why in enumerate(proposals.texts(answer["said"]))]
        psi = proposals.charged(psi, archive, answer)
        if status != PROPOSED:
            return Edit(note=SAID[status], tried=tried), psi
        proposed, parent = kept_in(answer["code"], answer["constants"]), int(answer["parent"])
        psi = proposals.asked(psi, proposed, parent, int(seen.step))
        kind, program = next((each for each in proposed.programs if each[1] != now.by_kind[each[0]]),
                             proposed.programs[0])  # fmt: skip
        tried.append({**_tried(int(psi["asked"]), "gate", parent=parent, program=write(program)),
                      "path": f"rule/{kind}"})  # fmt: skip
        return Edit(proposed.edit(seen.visible), f"proposal {int(psi['asked'])}", tried), psi

    def tell(self, psi: Params, heard: Heard) -> Params:
        return force.heard(psi, heard)

    @property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.model, self.base_url, self.key_variable, self.timeout, self.retries, self.request)

    @property
    def _budget(self) -> tuple[float, float, float]:
        return float(self.calls), float(self.tokens), self.seconds


def _placed(now: Formulas, program: Program, dtype: torch.dtype) -> Formulas | None:
    """What would stand with a program in the place of the one of its kind, in canonical form and with its numbers as
    weights of that dtype hold them, for what is judged is to be what is kept and shown; None: there is none of its
    kind. Raises `ProgramError` where a number can't be held."""
    kind = next((kind for kind, stands in now.programs if stands.signature == program.signature), None)
    if kind is None:
        return None
    for _ in range(2):  # rounded, two numbers may be one, and the canonical form another
        program = held(canonical(program), dtype)
    return now.replaced(kind, program)


def _ends(archive: Archive, now: Formulas, dtype: torch.dtype, program: Program) -> tuple[str, str]:
    """The stage at which a program ends before a life is spent on it, and why; nothing where it is to be tried."""
    placed = _placed(now, program, dtype)
    if placed is None:
        kinds = " or ".join(stands.signature for _, stands in now.programs)
        return STAGES[0], explain(expected=f"a program '{kinds}'", got=f"'{program.signature}'",
                                  do="No other may be edited.")  # fmt: skip
    screened = Screen(archive).passed(Proposal(placed, -1, ""))
    return (screened.stage, f"{screened.why}. Propose another formula.") if screened.why else ("", "")


def _answer(status: int, talk: Talk | None = None, proposed: Formulas | None = None, parent: int = -1) -> Answer:
    """What a conversation has come to, in tensors of fixed shapes: `code` and `constants` as an archive keeps them;
    `parent`, the id of the program that was changed (-1: none)."""
    code, constants = (proposed or Formulas(())).stored()
    faults = talk.faults if talk else []
    stages = torch.zeros(ATTEMPTS, dtype=torch.int64)
    stages[: len(faults)] = torch.tensor([STAGES.index(stage) for stage, _ in faults], dtype=torch.int64)
    return {"status": torch.tensor(status), "code": code, "constants": constants, "parent": torch.tensor(parent),
            "spent": torch.tensor(talk.spent if talk else [0.0] * 3, dtype=torch.float64), "stages": stages,
            "said": proposals.as_bytes([why for _, why in faults], ATTEMPTS, WORDS)}  # fmt: skip


def _parent(archive: Archive, found: Read) -> int:
    """The id of the program that a proposal changes; -1: it is whole."""
    number = re.match(r"(\d+)", found.parent or "")
    return int(number[1]) if number else int(archive["current"]) if found.parent else -1


def _tried(number: int, stage: str, *, parent: int = -1, program: str = "", why: str = "") -> dict[str, Any]:
    """One proposal in the words of the lineage."""
    return {"id": number, "parent": parent if parent >= 0 else None, "move": "change" if parent >= 0 else "proposal",
            "program": program, "stage": stage, "score": None, "price": 0, "why": why}  # fmt: skip
