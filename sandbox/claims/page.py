"""The page of all claims: for each what was done, what would have refuted it, what came out, and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.claims.claim import EssayClaim, Kind
from sandbox.claims.evidence import Registered
from sandbox.claims.figure import draw
from sandbox.claims.verdict import LEVEL, Evidence, Row, Verdict, together

WHOLE = "whole"  # what a row is called that is measured with nothing taken away

HEAD = """# The essay's claims, tried

Each claim of the essay became an experiment that could have come out otherwise. A comparison sets a reading of one
arm against its control's, paired by seed. Its criterion says beforehand in which region the difference must lie:
**supported** means that the whole 95 % interval lies there, and that this stands up to the number of comparisons on
this page (Student's t test, Holm 1979, p ≤ {level}, {count} comparisons); **not supported** that the interval lies
wholly outside; **undecided** anything else. A claim is supported where all comparisons that stand for it are, and not
supported where one of them is not. "Not supported" is not corrected for their number: the page is strict with itself
on both sides. Intervals are Student's below ten seeds and the percentile bootstrap from ten, as measured. A
comparison marked (against) speaks against the claim, or against a reading of it; one marked (derived) follows from
how its system is built, and shows that system and instruments are what they are meant to be.

**The instruments.** H is the human's objective, P the process's, A the agent's. d(·, ·) is a distance of two of them,
from 0 to 1: of rewards STARC, which ignores scale and shaping, of anything else rank-chord, which compares how they
rank the same behaviours. M, from 0 to 1, says how far two parts of a system rewrite each other in one step (0:
influence flows one way at most; halves of a system without parts have about .5); MI says the same of its slow and
fast modes, and sees time scales; LCD is how far the course of the one goes another way when it no longer hears the
other. IOG, from 0 to 1, is how far an update is from descending any scalar. Usefulness is 0 for random behaviour and
1 for the best, regret the share of what could be won that is lost. [instruments.md](instruments.md) has each with its
null, and when it lies.

`{command}` made this page{took}. Criteria, seeds and n stand in `conf/claim/`; another criterion is another experiment,
with a folder of its own.
"""


@dataclass(frozen=True)
class Tried:
    """A claim with what it showed: `rows`, one a comparison, and `ablated`, the same of each ablation, at the n of a
    quick look; those that are called `WHOLE` are its comparisons at that n with nothing taken away."""

    claim: EssayClaim
    evidence: Evidence
    rows: tuple[Row, ...]
    ablated: tuple[Row, ...]
    registered: Registered


def write(all_tried: Sequence[Tried], folder: Path, command: str, took: str = "") -> Path:
    """The page `claims.md` in `folder`, with its pictures in `folder`/claims; returns its path."""
    pictures = folder / "claims"
    pictures.mkdir(parents=True, exist_ok=True)
    for tried in all_tried:
        draw(tried.claim, tried.evidence, tried.rows, pictures / f"{tried.claim.letter}.png")
    count = sum(len(tried.rows) for tried in all_tried)
    parts = [HEAD.format(level=LEVEL, count=count, command=command, took=took), *_summary(all_tried),
             *(line for tried in all_tried for line in _chapter(tried)), *_ablations(all_tried)]  # fmt: skip
    path = folder / "claims.md"
    path.write_text("\n".join(parts).rstrip() + "\n")
    return path


def _counts(all_tried: Sequence[Tried]) -> Iterator[str]:
    found = [row for tried in all_tried for row in tried.rows]
    by = {
        verdict: sum(row.verdict == verdict for row in found) for verdict in ("supported", "undecided", "not supported")
    }
    derived, against = (sum(row.comparison.stands == what for row in found) for what in ("derived", "against"))
    told = ", ".join(f"{count} are {verdict}" for verdict, count in by.items())
    yield (f"Of {len(found)} comparisons {told}; {derived} of them are derived, and {against} speak against a claim or "
           "a reading of it.")  # fmt: skip
    yield ""


def _summary(all_tried: Sequence[Tried]) -> Iterator[str]:
    yield from _counts(all_tried)
    yield "| claim | the essay says | comparisons for it | verdict |"
    yield "|---|---|---|---|"
    for tried in all_tried:
        mine = [row for row in tried.rows if row.comparison.stands == "for"]
        supported = sum(row.verdict == "supported" for row in mine)
        yield (f"| [{tried.claim.letter}](#{_anchor(tried.claim)}) | {_line(tried.claim.says)} | "
               f"{supported} of {len(mine)} supported | **{together(tried.rows)}** |")  # fmt: skip
    yield ""


def _chapter(tried: Tried) -> Iterator[str]:
    claim = tried.claim
    yield f"## {_heading(claim)}"
    yield ""
    yield f"**The essay says:** {_line(claim.says)}"
    yield ""
    yield f"**What was done:** {_line(claim.done)}"
    yield ""
    yield f"**What would have refuted it:** {_line(claim.refuted)}"
    yield ""
    yield f"**Verdict: {together(tried.rows)}.** {_registered(tried)}"
    yield ""
    if against := [_line(row.comparison.say) for row in tried.rows
                   if row.comparison.stands == "against" and row.verdict == "supported"]:  # fmt: skip
        yield f"**What speaks against it, or against a reading of it:** {'; '.join(against)}."
        yield ""
    yield f"![{_heading(claim)}](claims/{claim.letter}.png)"
    yield ""
    yield "| expected | reading | measured | control | n | difference [95 %] | criterion | Holm p | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in tried.rows:
        one = row.comparison
        control = f"{number(row.control.mean)} ({one.control or one.than})"
        interval = f"{number(row.difference.mean)} [{number(row.difference.low)}, {number(row.difference.high)}]"
        measured = f"{_reading(row)} | {number(row.measured.mean)} | {control}"
        yield (f"| {_line(one.said)} | {measured} | {row.difference.n} | {interval} | "
               f"{one.criterion} | {p_value(row.holm)} | {row.verdict} |")  # fmt: skip
    yield ""


def _ablations(all_tried: Sequence[Tried]) -> Iterator[str]:
    if not any(tried.ablated for tried in all_tried):
        return
    yield "## What breaks them"
    yield ""
    yield ("Of each claim something was taken away that it needs (a mechanism: the comparison must no longer be "
           "supported) and something that it does not need (a sham: it must stay supported). These rows are not among "
           "those that Holm's correction counts, and are measured with the settings of `--fast`.")  # fmt: skip
    yield ""
    yield "| claim | taken away | kind | comparison | n | with it | without it [95 %] | by interval | as it must be |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for tried in all_tried:
        known = {ablation.name: ablation for ablation in tried.claim.ablations}
        whole = {row.comparison.name: row for row in tried.ablated if row.ablation == WHOLE}
        for row in (row for row in tried.ablated if row.ablation != WHOLE):
            ablation, before = known[row.ablation], whole[row.comparison.name]
            interval = f"{number(row.difference.mean)} [{number(row.difference.low)}, {number(row.difference.high)}]"
            yield (f"| {row.claim} | {_line(ablation.say)} | {ablation.kind} | {_line(row.comparison.said)} | "
                   f"{row.difference.n} | {number(before.difference.mean)}, {before.raw} | {interval} | {row.raw} | "
                   f"{_right(before.raw, row.raw, ablation.kind)} |")  # fmt: skip
    yield ""


def _right(before: Verdict, after: Verdict, kind: Kind) -> str:
    """Whether an ablation did as it must; what was not supported before, at this n, shows nothing."""
    if before != "supported":
        return "not shown: the comparison is not supported at this n"
    if kind == "sham":
        return "yes" if after == "supported" else "**no**"
    return {"supported": "**no**", "not supported": "yes", "undecided": "yes, though undecided"}[after]


def _heading(claim: EssayClaim) -> str:
    return f"{claim.letter}. {claim.title or _line(claim.says)[:60]}"


def _anchor(claim: EssayClaim) -> str:
    kept = [letter for letter in _heading(claim).lower() if letter.isalnum() or letter in " -_"]
    return "".join(kept).replace(" ", "-")


def _registered(tried: Tried) -> str:
    told = tried.registered
    if not told.commit:
        return "Its criteria are in no commit: read this as a first look."
    if not told.clean:
        return f"Its criteria differed from their last commit ({told.commit}) when measuring began: a first look."
    later = "" if told.words in ("", tried.claim.words_digest) else (
        " Its words were mended since; what decides the verdict was not.")  # fmt: skip
    return (f"Criteria, settings, seeds and n are those of commit {told.commit} ({told.committed[:16]}); measuring "
            f"began at {told.began[:16]}.{later}")  # fmt: skip


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _reading(row: Row) -> str:
    """What is read of both, or of each."""
    one = row.comparison
    return f"{one.reading} − {one.minus}" if one.minus else one.reading


def p_value(p: float) -> str:
    """Two digits, where that many can be meant."""
    return "< 1e−6" if p < 1e-6 else f"{p:.2g}".replace("-", "−")


def number(value: float) -> str:
    """Three digits, as a person writes them."""
    return f"{value:.3g}".replace("-", "−")
