"""The programs of arms, told: which stand at the end, and the trees that led to them, with scores and reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from sandbox.core.error import SandboxError
from sandbox.measure.interval import interval
from sandbox.program.mathematics import unicode
from sandbox.program.text import parse
from sandbox.report.arms import Arm
from sandbox.report.genealogy import Formula, Genealogy, difference, genealogies

MOST = 2000  # formulas of a page
LEAST = 12  # of a seed
DIGITS = 4  # of the numbers in a formula; the lines that changed have all
FORMS = 6  # of what stands at the end, so many are told
WORDS = 300  # characters of a reason

Families = list[list[Genealogy]]  # of each arm, one a seed


def families(arms: Sequence[Arm]) -> Families:
    """The trees of each arm; none where its rule has no programs."""
    return [[tree for run in arm.runs for tree in genealogies(run)] for arm in arms]


def formula(text: str) -> str:
    """A program in mathematics; a text of another language as it is."""
    try:
        return unicode(parse(text), DIGITS)
    except SandboxError:
        return text


def standing(trees: Sequence[Genealogy]) -> list[tuple[str, str, int]]:
    """(path, formula, seeds) of what is in force at the end, the commonest first."""
    found = Counter((path, formula(tree.formulas[place].text)) for tree in trees for path, place in tree.stands.items()
                    if _searched(trees, path))  # fmt: skip
    return [(path, said, n) for (path, said), n in found.most_common()]


def show(console: Console, arms: Sequence[Arm], trees: Families) -> None:
    """What stands at the end in each arm, in mathematics."""
    if not any(map(standing, trees)):
        return
    console.print(Text("Programs in force at the end", style="bold"))
    for arm, mine in zip(arms, trees, strict=True):
        stands = standing(mine)
        for path, said, n in stands[:FORMS]:
            console.print(Text(f"  {arm.name}, {n} of {len(mine)} seeds, {path}:"), Text(f"    {said}"), sep="\n")
        if len(stands) > FORMS:
            console.print(Text(f"  {arm.name}: {len(stands) - FORMS} more, in programs.txt", style="dim"))


def written(arms: Sequence[Arm], trees: Families) -> str:
    """All trees as text, with the lines by which each program differs from what it was made from."""
    console = Console(file=StringIO(), width=160, highlight=False)
    for arm, mine in zip(arms, trees, strict=True):
        for tree in mine:
            if tree.formulas:
                console.print(_drawn(arm.name, tree))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def document(trees: Families) -> list[list[dict[str, Any]]]:
    """The trees of each arm as the page holds them: of many, those programs that were accepted, then the latest."""
    share = max(LEAST, MOST // max(1, sum(map(len, trees))))
    return [[_plain(tree, share) for tree in mine] for mine in trees]


def _searched(trees: Sequence[Genealogy], path: str) -> bool:
    """Whether anybody has tried another program at the path."""
    return any(one.step and one.path == path for tree in trees for one in tree.formulas)


def _drawn(name: str, tree: Genealogy) -> Tree:
    fallen = ", ".join(f"{n} at {stage}{f' ({why})' if why else ''}" for (stage, why), n in tree.fallen.most_common())
    head = f"{name}, seed {tree.seed}: {len(tree.formulas)} programs, {tree.price} inner steps spent on candidates"
    root = Tree(escape(f"{head}; never lived: {fallen}" if fallen else head))
    nodes: dict[int, Tree] = {}
    for place in tree.told():
        one = tree.formulas[place]
        above = nodes.get(one.parent, root) if one.parent is not None else root
        nodes[place] = above.add(escape("\n".join([_headline(tree, place), *_changes(tree, one)])))
    return root


def _headline(tree: Genealogy, place: int) -> str:
    one = tree.formulas[place]
    stands = "  ← in force" if tree.stands.get(one.path) == place else ""
    asked = [f"  step {step}: {verdict}{f', {why[:WORDS]}' if why else ''}" for step, verdict, why in one.asked]
    born = f"step {one.step}{f', {one.move}' if one.move else ''}" if one.step else "start"
    return "\n".join([f"{formula(one.text)}   [{born}] {_score(one)}{stands}", *asked])


def _score(one: Formula) -> str:
    if not one.scores:
        return ""
    found = interval(np.array(one.scores))
    doubt = f" [{found.low:.4g}, {found.high:.4g}]" if found.n > 1 else ""
    return f"P on practice {found.mean:.4g}{doubt} n {found.n}"


def _changes(tree: Genealogy, one: Formula) -> list[str]:
    if one.parent is None:
        return []
    return [f"    {line}" for line in difference(tree.formulas[one.parent].text, one.text) if line[0] in "+-"]


def _plain(tree: Genealogy, most: int) -> dict[str, Any]:
    told = tree.told()
    if len(told) > most:
        kept = [place for place in told if tree.formulas[place].accepted or tree.formulas[place].parent is None]
        rest = [place for place in told if place not in kept]
        chosen = {*kept[-most:], *rest[len(rest) - max(0, most - len(kept)) :]}
        told = sorted({ancestor for place in chosen for ancestor in tree.line(place)})
    at = {place: row for row, place in enumerate(told)}
    return {
        "seed": tree.seed,
        "all": len(tree.formulas),
        "price": tree.price,
        "fallen": [[stage, why, n] for (stage, why), n in tree.fallen.most_common()],
        "formulas": [_row(tree, place, at) for place in told],
    }


def _row(tree: Genealogy, place: int, at: dict[int, int]) -> dict[str, Any]:
    one = tree.formulas[place]
    found = interval(np.array(one.scores)) if one.scores else None
    score = (
        [float(f"{x:.5g}") if np.isfinite(x) else None for x in (found.mean, found.low, found.high)] if found else []
    )
    old = tree.formulas[one.parent].text if one.parent is not None else one.text
    return {"formula": formula(one.text), "lines": difference(old, one.text), "path": one.path, "step": one.step,
            "move": one.move, "parent": None if one.parent is None else at[one.parent],
            "score": [*score, found.n] if found else None, "stands": tree.stands.get(one.path) == place,
            "asked": [[step, verdict, why[:WORDS]] for step, verdict, why in one.asked]}  # fmt: skip
