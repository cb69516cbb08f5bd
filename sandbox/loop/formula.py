"""Rules that can't run every phi, and rules that are told in words: what an edit makes of them, seed by seed."""

from __future__ import annotations

from sandbox.core.edit import Edit
from sandbox.core.protocols import Checked, Params, Rule, Written
from sandbox.core.state import State

RULE = "rule/"


def faults(rule: Rule, state: State, edit: Edit) -> dict[int, str]:
    """{seed's row: what is wrong} of the edited `state`, where its rule finds a fault with phi."""
    if not isinstance(rule, Checked) or not any(path.startswith(RULE) for path in edit.set):
        return {}
    found, edited = dict[int, str](), [path.removeprefix(RULE) for path in edit.set if path.startswith(RULE)]
    for s in range(state.seeds):
        said = [fault for phi in phis(state, s) if (fault := rule.fault(phi, edited))]
        found |= {s: said[0]} if said else {}
    return found


def texts(rule: Rule, state: State) -> dict[str, list[str]]:
    """{path: [S]} of all that the rule tells in words. A seed whose lives have rules of their own tells them one after
    the other; one with a fault tells nothing."""
    if not isinstance(rule, Written):
        return {}
    told: list[dict[str, str]] = []
    for s in range(state.seeds):
        rows = phis(state, s)
        well = not (isinstance(rule, Checked) and any(rule.fault(phi) for phi in rows))
        each = [rule.written(phi) for phi in rows] if well else []
        told.append({name: "\n\n".join(dict.fromkeys(one[name] for one in each)) for name in (each[0] if each else ())})
    return {
        f"{RULE}{name}": [said.get(name, "") for said in told] for name in dict.fromkeys(k for t in told for k in t)
    }


def phis(state: State, s: int) -> list[Params]:
    """phi of the s-th seed: one, or one a life where each life edits its own rule."""
    most = max((leaf.shape[0] for leaf in state.rule.values()), default=0) // state.seeds
    return [{name: leaf[s * (leaf.shape[0] // state.seeds) + k * (leaf.shape[0] // state.seeds) // most]
             for name, leaf in state.rule.items()} for k in range(most)]  # fmt: skip
