"""`sandbox report`: table, differences, figures and page of finished or running runs, from their files alone."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sandbox.core.error import LineageError, explain
from sandbox.lines.launch import sweep_of
from sandbox.report import programs, table
from sandbox.report.arms import Arm, group
from sandbox.report.claims import Difference, differences, in_order
from sandbox.report.page import write_page
from sandbox.report.page_data import document, name_of
from sandbox.report.read import RUNS, Failure, Run, failures, find_runs, newest_launch, over, unfolded
from sandbox.report.study import Study, kept, load

WIDE = 240  # columns of table.txt, so that no cell is folded
EVERY = 5.0  # seconds from one page to the next of a sweep that runs
BREATH = 3  # times as long as a page took to make, at least, pass until the next is made
PAGE = "page.html"
PROGRAMS = "programs.txt"


@dataclass(frozen=True)
class Report:
    """All that a report tells: what `paths` name, as their files are now."""

    paths: Sequence[Path]
    runs: Sequence[Run]
    failures: Sequence[Failure]
    arms: Sequence[Arm]
    found: Sequence[Difference]
    study: Study


def main(argv: Sequence[str]) -> int:
    """Report on what `argv` names; raises `SandboxError`."""
    parser = ArgumentParser(prog="sandbox report", description=__doc__)
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="RUN",
        type=Path,
        help="a run folder, a folder of them, a launch or a sweep (default: newest launch)",
    )
    parser.add_argument("--all", action="store_true", help="every reading, in the table and in figures of their own")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows of the table there too")
    parser.add_argument("--out", metavar="DIR", type=Path, help="default: reports/<name> beside the runs")
    parser.add_argument("--against", metavar="ARM", help="compare every arm with this one")
    parser.add_argument("--study", metavar="FILE", type=Path,
                        help="what is expected of the arms (default: what their launch left)")  # fmt: skip
    parser.add_argument("--live", action="store_true", help=f"make {PAGE} anew every few seconds while the runs go on")
    asked = parser.parse_args(argv)
    paths = asked.paths or [newest_launch(RUNS)]
    if asked.live:
        with suppress(KeyboardInterrupt):  # whoever has seen enough gets the whole report
            follow(paths, out=asked.out, against=asked.against, study_file=asked.study)
    report(paths, json_file=asked.json, out=asked.out, against=asked.against, study_file=asked.study,
           everything=asked.all)  # fmt: skip
    return 0


def gather(paths: Sequence[Path], *, against: str | None = None, study_file: Path | None = None) -> Report:
    """Read what `paths` name; raises `SandboxError`."""
    there = unfolded(paths)
    runs = find_runs(there)
    study = load(study_file) if study_file else kept(there, [run.folder for run in runs])
    arms = in_order(group(runs), study)
    return Report(there, runs, failures(there), arms, differences(arms, study, against) if arms else [], study)


def report(
    paths: Sequence[Path], *, json_file: Path | None = None, out: Path | None = None, against: str | None = None,
    study_file: Path | None = None, everything: bool = False,
) -> None:  # fmt: skip
    """Print the report and keep it in `out`, its page beside table and figures."""
    told = gather(paths, against=against, study_file=study_file)
    arms, study = told.arms, told.study
    out = out or _place(paths, told)
    if not arms and not told.failures:
        raise LineageError(explain(expected="at least one line of lineage", got=f"none in {len(told.runs)} runs",
                                   do="Wait for the first reflective step, or look into status.json."))  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    page = out / PAGE
    size = page_of(told, page)
    if not arms:
        got = f"none; {len(told.failures)} of {len(told.failures)} jobs left no run"
        raise LineageError(explain(expected="at least one line of lineage", got=got, do=f"{page} tells why."))
    table.show(console, arms, told.found, told.runs, study, everything=everything)
    trees = programs.families(arms)
    programs.show(console, arms, trees)
    with (out / "table.txt").open("w") as file:
        wide = Console(file=file, width=WIDE, highlight=False)
        table.show(wide, arms, told.found, told.runs, study, everything=everything)
    rows = json.dumps(table.rows(arms, study), indent=1) + "\n"
    for path in filter(None, (out / "table.json", json_file)):
        path.write_text(rows)

    from sandbox.report.figures import draw

    drawn = draw(arms, out, study, told.found, everything=everything)
    console.print(f"{page} ({size / 1e6:.2f} MB, loads nothing)", style="dim", soft_wrap=True, markup=False)
    grown = [out / PROGRAMS] if any(tree.formulas for mine in trees for tree in mine) else []
    for path in grown:
        path.write_text(programs.written(arms, trees))
    for path in [out / "table.txt", out / "table.json", *grown, *drawn, *map(_folder, told.runs)]:
        console.print(str(path), style="dim", soft_wrap=True, markup=False)


def follow(
    paths: Sequence[Path], *, out: Path | None = None, against: str | None = None, study_file: Path | None = None,
    every: float = EVERY,
) -> None:  # fmt: skip
    """Make the page anew every so many seconds, and each time the page loads itself again, until no run of `paths` goes
    on. Making one takes longer where there are many runs, and so does the pause."""
    page = None
    while True:
        began = time.monotonic()
        ended = over(unfolded(paths))
        told = gather(paths, against=against, study_file=study_file)
        out = out or _place(paths, told)
        out.mkdir(parents=True, exist_ok=True)
        if page is None:
            page = out / PAGE
            print(f"{page} loads itself again every {every:g} s until the runs end or Ctrl-C", flush=True)
        page_of(told, page, refresh=None if ended else every)
        if ended:
            return
        time.sleep(max(every, BREATH * (time.monotonic() - began)))


def page_of(told: Report, path: Path, *, refresh: float | None = None) -> int:
    """Write the page of a report; returns its size in bytes."""
    grown = programs.document(programs.families(told.arms))
    held = document(told.arms, told.runs, told.failures, told.found, told.study, grown)
    return write_page(path, _title(told), held, refresh=refresh)


def _title(told: Report) -> str:
    """The name of the sweep, where all launches are one's."""
    sweeps = {sweep_of(path) if path.is_file() else "" for path in told.paths}
    return sweeps.pop() if len(sweeps) == 1 and "" not in sweeps else name_of(told.paths)


def _place(paths: Sequence[Path], told: Report) -> Path:
    """reports/<name>, beside the runs."""
    manifests = [path.parents[1] for path in told.paths if path.is_file()]
    beside = told.runs[0].folder.parent if told.runs else manifests[0] if manifests else RUNS
    return beside / "reports" / name_of(paths)


def _folder(run: Run) -> str:
    """A run and, where there is one, its W&B folder."""
    return f"{run.folder} and wandb/ in it" if (run.folder / "wandb").is_dir() else str(run.folder)
