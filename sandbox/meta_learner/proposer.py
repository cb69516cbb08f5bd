"""A language model holds the pen: it proposes programs in words, and the gate judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from sandbox.core.edit import Edit
from sandbox.core.error import ConfigError, explain
from sandbox.core.journal import Answer, Question, Told
from sandbox.core.protocols import Heard, Needs, Params, Seen
from sandbox.meta_learner import proposals
from sandbox.meta_learner.endpoint import NAME, Endpoint, OutageError, checked_url
from sandbox.meta_learner.prompt import called, names, prompt
from sandbox.meta_learner.proposals import CONSTANTS, KINDS
from sandbox.meta_learner.talk import ATTEMPTS, Talk, new_among
from sandbox.program.answer import Read
from sandbox.program.language import CONSTANTS as COUNT
from sandbox.program.language import SIGNATURES
from sandbox.program.program import Program
from sandbox.program.tensor import SHAPE, decode, encode
from sandbox.program.text import write

PROPOSED, NONE_VALID, SPENT, OUTAGE = range(4)  # what a conversation has come to
SAID = ("a proposal", "no edit: none of the model's answers can be tried", "no edit: the budget is spent",
        "no edit: an outage, nobody answered")  # fmt: skip
WORDS = 240  # bytes of a fault that are remembered
OURS = ("model", "messages", "stream", "n", "tools", "functions")  # of a request; the proposer sets them


@dataclass(frozen=True)
class Proposer:
    """A model proposes one program a reflective step, for rule/loss or rule/update of `edits`, with rule/constants.

    It is shown the language, `about` (the task in words: it is told nothing else of it), the programs that stand, and
    of those proposed before the `shown` best and latest with what the gate measured of them. A fault of the parser goes
    back to it at most twice. What was proposed before, in whatever spelling, is not judged again.

    `calls` (requests), `tokens` and `seconds` are a seed's budget; psi keeps what is spent, and `most` programs.
    `outage`: where no answer can be had, the run stops, to go on by the same command ("stop"), or goes on without an
    edit ("skip"). The key is read from the environment variable `key_variable`, and written nowhere.
    """

    edits: tuple[str, ...] = ("rule/loss", "rule/constants")
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
        if not NAME.match(self.key_variable):
            raise ConfigError(explain(expected="the NAME of an environment variable at meta_learner.key_variable",
                                      got="another form", do="Never the key itself: it would be kept."))  # fmt: skip
        least = {"shown": 1, "most": 1, "calls": 0, "tokens": 0, "seconds": 0, "retries": 0}
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
        return Needs(edits=self.edits, reads=self.edits, answers=True, vmapped=False, lasting=True)

    def ready(self) -> None:
        """Raises `ConfigError` where it is plain before the first step that nobody can be asked."""
        self._endpoint.ready()

    def init(self, edited: Mapping[str, Tensor]) -> Params:
        if not set(edited) <= {*KINDS, CONSTANTS} or CONSTANTS not in edited or len(edited) < 2:
            raise ConfigError(explain(
                expected="edits of rule/loss or rule/update, and of rule/constants, of a rule of programs",
                got=f"{sorted(edited)}",
                do="Set rule=program meta_learner.edits=[rule/loss,rule/constants]."))  # fmt: skip
        return proposals.blank(self.most, ATTEMPTS, WORDS)

    # ---- what is asked of the model ---------------------------------------------------------------------------------

    def consult(self, question: Question, psi: Params, seen: Seen) -> Told:
        """One proposal, or why there is none, as tensors; and the whole conversation as the transcript."""
        left = [most - used for most, used in zip(self._budget, psi["spent"].tolist(), strict=True)]
        if min(left) <= 0:
            return Told(_answer(SPENT, (0.0, 0.0, 0.0)))
        psi = proposals.undone(psi, seen.visible)
        now, known = proposals.standing(seen.visible), proposals.entries(psi)
        named = dict(zip(names(now), now.values(), strict=True)) | {called(one.id): one.program for one in known}
        kinds = [program.signature for program in now.values()]

        def check(program: Program) -> None:
            decode(*encode(program, seen.visible[CONSTANTS].dtype))  # a constant may be too large there
            new_among(program, named, kinds, write)

        talk = Talk(self._endpoint, prompt(self.about, now, known, proposals.texts(psi["said"]), self.shown), named,
                    check)  # fmt: skip
        found, status = None, NONE_VALID
        try:
            found = talk.proposal(left)
            status = PROPOSED if found else NONE_VALID
        except OutageError:
            if self.outage == "stop":
                raise
            status = OUTAGE
        return Told(_answer(status, talk.spent, talk.faults, found), talk.transcript(question, SAID[status]))

    # ---- what is a function of the state ----------------------------------------------------------------------------

    def ask(self, psi: Params, seen: Seen) -> tuple[Edit, Params]:
        answer, status = seen.answer, int(seen.answer["status"])
        begun = int(psi["tried"])
        psi = proposals.undone(psi, seen.visible)
        psi = proposals.charged(psi, answer["spent"], answer["said"])
        tried = [_tried(begun + i, "language", why=why)
                 for i, why in enumerate(proposals.texts(answer["said"]), start=1)]  # fmt: skip
        if status != PROPOSED:
            return Edit(note=SAID[status], tried=tried), psi
        parent = int(answer["parent"])
        psi = proposals.kept(psi, answer["code"], answer["constants"], parent)
        path = next(path for path, stands in proposals.standing(seen.visible).items()
                    if stands.signature == SIGNATURES[int(answer["code"][0, 1])].name)  # fmt: skip
        row, constants = KINDS.index(path), seen.visible[CONSTANTS].clone()
        constants[row] = answer["constants"].to(constants.dtype)
        number, text = int(psi["tried"]), write(decode(answer["code"], constants[row]))
        tried.append(_tried(number, "gate", parent=parent, program=text))
        return Edit({path: answer["code"], CONSTANTS: constants}, SAID[status], tried), psi

    def tell(self, psi: Params, heard: Heard) -> Params:
        return proposals.heard(psi, heard)

    @property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.model, self.base_url, self.key_variable, self.timeout, self.retries, self.request)

    @property
    def _budget(self) -> tuple[float, float, float]:
        return float(self.calls), float(self.tokens), self.seconds


def _answer(status: int, spent: Sequence[float], faults: Sequence[str] = (), found: Read | None = None) -> Answer:
    """What a conversation has come to, in tensors of fixed shapes. `parent`: the number of the changed proposal; -1:
    what stood; 0: none, the program is whole."""
    code, constants = encode(found.program) if found else (torch.zeros(SHAPE, dtype=torch.int64), torch.zeros(COUNT))
    name = found.parent if found else None
    parent = 0 if name is None else int(name.removeprefix("#")) if name.startswith("#") else -1
    return {"status": torch.tensor(status), "code": code, "constants": constants.double(),
            "parent": torch.tensor(parent), "spent": torch.tensor(spent, dtype=torch.float64),
            "said": proposals.as_bytes(faults, ATTEMPTS, WORDS)}  # fmt: skip


def _tried(number: int, stage: str, *, parent: int = 0, program: str = "", why: str = "") -> dict[str, Any]:
    """One proposal in the words of the lineage."""
    return {"id": number, "parent": parent if parent > 0 else None, "move": "change" if parent else "proposal",
            "program": program, "stage": stage, "score": None, "price": 0, "why": why}  # fmt: skip
