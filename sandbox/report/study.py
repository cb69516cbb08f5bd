"""A study: a question, the arms that answer it, and what their comparison is expected to show. All of it is data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from sandbox.core.error import ConfigError, did_you_mean, explain
from sandbox.report.formula import variables

SUFFIX = ".study.json"  # of the file beside the manifest of a launch


@dataclass(frozen=True)
class Claim:
    """`reading` of `arm` minus that of `than` has `sign` (0: nothing expected); without `than` it is set against the
    null that its meter names. `say` says it in words; a `headline` is told in the closing sentence even where it holds.
    """

    reading: str
    arm: str
    than: str = ""
    sign: Literal[-1, 0, 1] = 0
    say: str = ""
    headline: bool = False


@dataclass(frozen=True)
class ClosedForm:
    """What `reading` must be where the arms differ in the number `over` alone and their configuration has the values of
    `where`. `formula` is arithmetic on keys of the configuration and on the names of `let`, each a formula before it.
    `title` names it; a {key} in it is that key's value."""

    reading: str
    over: str
    formula: str
    title: str = "closed form"
    where: Mapping[str, Any] | None = None
    let: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Study:
    """`arms` in the order in which they are told, `reference` the one that others are set against (the first, if not
    named); `sweep` what is run instead of the arms. `order` names the readings to tell first. Each claim stands on its
    own interval: nothing is corrected for their number."""

    question: str = ""
    arms: tuple[str, ...] = ()
    reference: str = ""
    sweep: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    closed_forms: tuple[ClosedForm, ...] = ()

    @property
    def readings(self) -> list[str]:
        """Every reading that is named somewhere."""
        named = [*self.order, *(claim.reading for claim in self.claims), *(form.reading for form in self.closed_forms)]
        return list(dict.fromkeys(named))


def parse(node: Mapping[str, Any], where: str) -> Study:
    """The study that a file describes; raises `ConfigError` for unknown keys and for arms that it does not have."""
    given = _fields(Study, node, where)
    claims = [_claim(one, f"claims[{n}] of {where}") for n, one in enumerate(given.pop("claims", ()))]
    forms = [_form(one, f"closed_forms[{n}] of {where}") for n, one in enumerate(given.pop("closed_forms", ()))]
    lists: dict[str, Any] = {key: tuple(given.pop(key, ())) for key in ("arms", "sweep", "order")}
    study = Study(**given, **lists, claims=tuple(claims), closed_forms=tuple(forms))
    for name in (*(name for claim in claims for name in (claim.arm, claim.than)), study.reference):
        if name and name not in study.arms:
            raise ConfigError(explain(expected=f"one of the arms of {where}", got=f"'{name}'",
                                      do=did_you_mean(name, study.arms)))  # fmt: skip
    return study


def _claim(node: Mapping[str, Any], where: str) -> Claim:
    claim = Claim(**_fields(Claim, node, where))
    if claim.sign not in (-1, 0, 1):
        raise ConfigError(explain(expected=f"a sign of -1, 0 or 1 in {where}", got=repr(claim.sign),
                                  do="Say on which side of 0 the difference is expected."))  # fmt: skip
    return claim


def _form(node: Mapping[str, Any], where: str) -> ClosedForm:
    form = ClosedForm(**_fields(ClosedForm, node, where))
    for formula in (*(form.let or {}).values(), form.formula):
        variables(formula)
    return form


def _fields(kind: type, node: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = {field.name for field in fields(cast(Any, kind))}
    for key in node:
        if key not in known:
            raise ConfigError(explain(expected=f"a key of {where}", got=f"'{key}'", do=did_you_mean(key, known)))
    return dict(node)


def together(studies: Iterable[Study]) -> Study:
    """Several studies as one: the arms, claims and closed forms of all, the question and reference of the first."""
    first, *others = [*studies] or [Study()]
    for other in others:
        first = replace(first, arms=(*first.arms, *other.arms), order=(*first.order, *other.order),
                        claims=(*first.claims, *other.claims),
                        closed_forms=(*first.closed_forms, *other.closed_forms))  # fmt: skip
    return first


def keep(studies: Sequence[Study], manifest: Path) -> None:
    """Leave `studies` beside the manifest of the launch that runs them."""
    _beside(manifest).write_text(json.dumps([asdict(study) for study in studies], indent=1) + "\n")


def load(path: Path) -> Study:
    """The study of a file, YAML or JSON; raises `ConfigError`."""
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(explain(expected=f"a study in {path}", got=str(error), do="Name its file.")) from error
    return together([parse(node, str(path)) for node in (found if isinstance(found, list) else [found])])


def kept(paths: Sequence[Path], folders: Iterable[Path]) -> Study:
    """What the launches at `paths` left, or else the newest launch that ran all of `folders`; an empty study where none
    left one."""
    beside = [_beside(path) for path in paths if path.is_file()]
    if not beside:
        folders = {folder.resolve() for folder in folders}
        launches = {path for folder in folders for path in (folder.parent / "launches").glob(f"*{SUFFIX}")}
        beside = [path for path in sorted(launches, reverse=True) if {folder.name for folder in folders} <= _ran(path)]
    return together([load(path) for path in beside if path.is_file()][:1])


def _ran(path: Path) -> set[str]:
    """The names of the folders that the launch beside a study ran."""
    manifest = path.with_name(path.name.removesuffix(SUFFIX) + ".jsonl")
    lines = manifest.read_text().splitlines() if manifest.is_file() else []
    return {Path(json.loads(line).get("folder", "")).name for line in lines}


def _beside(manifest: Path) -> Path:
    return manifest.with_name(manifest.name.removesuffix(".jsonl") + SUFFIX)
