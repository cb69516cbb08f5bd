"""Which entry of an archive is in force: what stands may have been changed by others, or be back after a bad life."""

from __future__ import annotations

from math import isfinite

import torch

from sandbox.core.protocols import Heard, Params
from sandbox.program.archive import Archive, Entry, Fate, append, in_force, marked, place, retuned
from sandbox.program.cascade import formulas_of
from sandbox.program.formulas import Formulas


def current(archive: Archive, now: Formulas, step: int, asked: int) -> Archive:
    """The archive in which `now` is in force, as an entry that is there or a new one. `asked` is the entry that waits
    for a verdict (-1: none): if it still does, nobody told what became of it. Where an entry that was there stands
    again in the place of an accepted one, that one is dead: its life went non-finite, or others undid it, and nothing
    that is seen here tells which. Where others have tuned the numbers of what was in force, it stays one entry."""
    if asked >= 0 and archive["fate"][place(archive, asked)] == Fate.ASKED:
        archive = marked(archive, asked, Fate.REFUSED)
    number = int(archive["current"])
    if formulas_of(archive, number, now) == now:
        return archive
    code, constants = now.stored()
    same = (archive["code"] == code).flatten(1).all(1) & (archive["constants"] == constants).flatten(1).all(1)
    there = archive["id"][same & (archive["id"] >= 0)]
    if not len(there) and bool((archive["code"][place(archive, number)] == code).all()):
        return retuned(archive, number, constants, now.text_key, now.function_key or 0)
    if not len(there):
        return with_current(archive, now, step)
    if archive["fate"][place(archive, number)] == Fate.ACCEPTED:
        archive = marked(archive, number, Fate.DEAD)
    return in_force(archive, int(there[0]))


def heard(psi: Params, told: Heard) -> Params:
    """psi, an archive and "asked", the id that waits for a verdict, after the verdict: its fate, what the gate measured
    where it has, and whether it is in force now. Nothing, where nobody waits (-1)."""
    number, scores = int(psi["asked"]), (float(told.incumbent), float(told.candidate))
    if number < 0:
        return psi
    measured, taken = all(map(isfinite, scores)), bool(told.accepted > 0)
    fate = Fate.ACCEPTED if taken else Fate.REJECTED if measured else Fate.REFUSED
    after = marked(psi, number, fate, scores if measured else None)
    after = in_force(after, number) if taken else after
    return {**after, "asked": torch.full_like(psi["asked"], -1)}


def with_current(archive: Archive, now: Formulas, step: int) -> Archive:
    """The archive with a new entry for what is in force."""
    code, constants = now.stored()
    entry = Entry(code, constants, int(archive["current"]), step, Fate.KNOWN, None, now.text_key, now.function_key or 0)
    archive, number = append(archive, entry)
    return in_force(archive, number)
