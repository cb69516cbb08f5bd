"""A claim of the essay as data: what is set against what, by which criterion it falls, what must break it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from math import inf
from typing import Any, Literal, cast, get_args

from sandbox.core.error import ConfigError, did_you_mean, explain

Kind = Literal["mechanism", "sham"]
Stands = Literal["for", "against", "derived"]


@dataclass(frozen=True)
class Comparison:
    """`reading` of `arm` minus `minus` (by default the same reading) of `than`, an arm or a number, paired by seed.

    Its criterion says where that difference is expected: `above` a number, `below` one, or `within` so much of 0. `say`
    tells the expectation in words, and `control` what `than` is there for. It `stands` for the claim; against it, or
    against a reading of it; or it is derived: it follows from how the system is built, and tries system and instrument.
    """

    name: str
    say: str
    reading: str
    arm: str
    than: str | float
    minus: str = ""
    above: float | None = None
    below: float | None = None
    within: float | None = None
    control: str = ""
    stands: Stands = "for"

    @property
    def said(self) -> str:
        """What is expected, in one line, marked where it does not stand for the claim."""
        line = " ".join(self.say.split())
        return line if self.stands == "for" else f"({self.stands}) {line}"

    @property
    def region(self) -> tuple[float, float]:
        """Where the difference is expected: the two ends."""
        if self.within is not None:
            return -self.within, self.within
        return (self.above, inf) if self.above is not None else (-inf, cast(float, self.below))

    @property
    def criterion(self) -> str:
        """The criterion in words."""
        named = next(key for key in ("above", "below", "within") if getattr(self, key) is not None)
        return f"{named} {getattr(self, named):g}" + (" of 0" if named == "within" else "")


@dataclass(frozen=True)
class Ablation:
    """One thing taken away. Without the mechanism the comparisons `of` it must no longer be supported; without a sham
    they must stay so. `words` are added to the command of the loop's `arms`, `exhibits` to the fields of exhibits."""

    name: str
    kind: Kind
    say: str
    of: tuple[str, ...]
    words: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    exhibits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


@dataclass(frozen=True)
class EssayClaim:
    """One claim, `letter`. `says`: what the essay says; `done`: what was done to test it; `refuted`: what would have
    refuted it. `arms` are experiments of conf/experiment/claim, each run of the loop with `seeds` seeds and `words`;
    `exhibits` are systems outside the loop, {name: node}, whose arms are called exhibit/arm. `fast` replaces seeds and
    exhibits' fields and adds words, for a quick look. `figure` says what its picture shows (see `figure`); `settings`
    is what the files of its arms say."""

    letter: str
    says: str
    done: str
    refuted: str
    comparisons: tuple[Comparison, ...]
    title: str = ""
    arms: tuple[str, ...] = ()
    exhibits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    seeds: int = 16
    words: tuple[str, ...] = ()
    ablations: tuple[Ablation, ...] = ()
    figure: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fast: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def digest(self) -> str:
        """Of all that decides the verdict: a claim with another criterion, n or setting of an arm is another
        experiment."""
        decides = ("arms", "exhibits", "seeds", "words", "settings")
        told = {key: value for key, value in asdict(self).items() if key in decides}
        criteria = [[one.reading, one.arm, one.than, one.minus, one.stands, *one.region] for one in self.comparisons]
        return blake2b(json.dumps([told, criteria], sort_keys=True).encode(), digest_size=4).hexdigest()

    @property
    def words_digest(self) -> str:
        """Of all that it says, words too."""
        return blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=4).hexdigest()

    def quick(self) -> EssayClaim:
        """The same with the settings of `fast`."""
        exhibits = {name: {**node, **self.fast.get("exhibits", {}).get(name, {})}
                    for name, node in self.exhibits.items()}  # fmt: skip
        return replace(self, seeds=self.fast.get("seeds", self.seeds), exhibits=exhibits,
                       words=(*self.words, *self.fast.get("words", ())))  # fmt: skip

    def without(self, ablation: Ablation) -> EssayClaim:
        """The arms and exhibits that the ablation changes, changed, and nothing else."""
        exhibits = {name: {**self.exhibits[name], **fields} for name, fields in ablation.exhibits.items()}
        return replace(self, arms=ablation.arms, words=(*self.words, *ablation.words), exhibits=exhibits)


def parse(letter: str, node: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> EssayClaim:
    """The claim that a file describes, with the `settings` of its arms; raises `ConfigError` for unknown keys, names
    that it does not have, and an ablation that changes nothing of a quick look, which is where it is measured."""
    where = f"claim/{letter}.yaml"
    given = dict(_known(EssayClaim, node, where, besides=("letter", "settings")))
    comparisons = tuple(_comparison(name, one, where) for name, one in given.pop("comparisons", {}).items())
    ablations = tuple(_ablation(name, one, where) for name, one in given.pop("ablations", {}).items())
    lists: dict[str, Any] = {key: tuple(given.pop(key, ())) for key in ("arms", "words")}
    _needs(given, ("says", "done", "refuted"), where)
    claim = EssayClaim(letter, **given, **lists, comparisons=comparisons, ablations=ablations, settings=settings or {})
    _known_keys(claim.fast, ("seeds", "words", "exhibits"), f"fast of {where}")
    if not any(one.stands == "for" for one in comparisons):
        raise ConfigError(explain(expected=f"comparisons in {where} that stand for the claim", got="none",
                                  do="Say what is set against what."))  # fmt: skip
    for one in claim.comparisons:
        for arm in (one.arm, one.than):
            if isinstance(arm, str):
                _arm(arm, claim, f"comparison '{one.name}' of {where}")
    for ablation in claim.ablations:
        _each(ablation.of, [one.name for one in claim.comparisons], f"a comparison of {where} at '{ablation.name}'")
        _each(ablation.arms, claim.arms, f"an arm of {where} at '{ablation.name}'")
        _each(ablation.exhibits, claim.exhibits, f"an exhibit of {where} at '{ablation.name}'")
        _changes(ablation, claim.quick(), where)
    return claim


def _comparison(name: str, node: Mapping[str, Any], where: str) -> Comparison:
    where = f"comparison '{name}' of {where}"
    _needs(node, ("say", "reading", "arm", "than"), where)
    one = Comparison(name, **_known(Comparison, node, where, besides=("name",)))
    if sum(criterion is not None for criterion in (one.above, one.below, one.within)) != 1:
        raise ConfigError(explain(expected=f"one criterion in {where}: above, below or within", got=f"{dict(node)}",
                                  do="Say where the difference is expected."))  # fmt: skip
    _each([one.stands], get_args(Stands), f"what {where} stands for")
    return one


def _ablation(name: str, node: Mapping[str, Any], where: str) -> Ablation:
    where = f"ablation '{name}' of {where}"
    given = dict(_known(Ablation, node, where, besides=("name",)))
    _needs(given, ("kind", "say", "of"), where)
    _each([given["kind"]], get_args(Kind), f"the kind of {where}")
    lists: dict[str, Any] = {key: tuple(given.pop(key, ())) for key in ("of", "words", "arms")}
    return Ablation(name, **given, **lists)


def _changes(ablation: Ablation, quick: EssayClaim, where: str) -> None:
    idle = [
        name for name, fields in ablation.exhibits.items() if {**quick.exhibits[name], **fields} == quick.exhibits[name]
    ]
    if idle or not (ablation.exhibits or (ablation.words and ablation.arms)):
        raise ConfigError(explain(expected=f"an ablation '{ablation.name}' of {where} that takes something away",
                                  got=f"{', '.join(idle) or 'it'} as in `fast`, where ablations are measured",
                                  do="Name arms with words, or fields of exhibits, that differ."))  # fmt: skip


def _arm(name: str, claim: EssayClaim, where: str) -> None:
    exhibit, slash, _ = name.partition("/")
    known = claim.exhibits if slash else claim.arms
    _each([exhibit], known, f"an arm in {where}")


def _each(names: Any, known: Any, what: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(explain(expected=what, got=f"'{name}'", do=did_you_mean(str(name), known)))


def _needs(node: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in keys:
        if key not in node:
            raise ConfigError(explain(expected=f"`{key}` in {where}", got=f"{', '.join(node) or 'nothing'}",
                                      do="Say it."))  # fmt: skip


def _known(kind: type, node: Mapping[str, Any], where: str, *, besides: Sequence[str]) -> Mapping[str, Any]:
    _known_keys(node, [one.name for one in fields(cast(Any, kind)) if one.name not in besides], where)
    return node


def _known_keys(node: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    _each(node, known, f"a key of {where}")
