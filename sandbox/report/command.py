"""`sandbox report`: table, differences and figures of finished or running runs, from their files alone."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sandbox.core.error import LineageError, explain
from sandbox.report import table
from sandbox.report.arms import group
from sandbox.report.claims import differences, in_order
from sandbox.report.read import Run, find_runs, newest_launch
from sandbox.report.study import kept, load

RUNS = Path("runs")
WIDE = 240  # columns of table.txt, so that no cell is folded


def main(argv: Sequence[str]) -> int:
    """Report on what `argv` names; raises `SandboxError`."""
    parser = ArgumentParser(prog="sandbox report", description=__doc__)
    parser.add_argument("paths", nargs="*", metavar="RUN", type=Path,
                        help="a run folder, a folder of them, or a launch (default: the newest)")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="every reading, in the table and in figures of their own")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows of the table there too")
    parser.add_argument("--out", metavar="DIR", type=Path, help="default: reports/<name> beside the runs")
    parser.add_argument("--against", metavar="ARM", help="compare every arm with this one")
    parser.add_argument("--study", metavar="FILE", type=Path,
                        help="what is expected of the arms (default: what their launch left)")  # fmt: skip
    asked = parser.parse_args(argv)
    report(asked.paths or [newest_launch(RUNS)], json_file=asked.json, out=asked.out, against=asked.against,
           study_file=asked.study, everything=asked.all)  # fmt: skip
    return 0


def report(
    paths: Sequence[Path], *, json_file: Path | None = None, out: Path | None = None, against: str | None = None,
    study_file: Path | None = None, everything: bool = False,
) -> None:  # fmt: skip
    """Print the report and keep it in `out`."""
    runs = find_runs(paths)
    study = load(study_file) if study_file else kept(paths, [run.folder for run in runs])
    arms = in_order(group(runs), study)
    if not arms:
        raise LineageError(explain(expected="at least one line of lineage", got=f"none in {len(runs)} runs",
                                   do="Wait for the first reflective step, or look into status.json."))  # fmt: skip
    found = differences(arms, study, against)
    out = out or runs[0].folder.parent / "reports" / _name(paths)
    out.mkdir(parents=True, exist_ok=True)

    console = Console(highlight=False)
    table.show(console, arms, found, runs, study, everything=everything)
    with (out / "table.txt").open("w") as file:
        wide = Console(file=file, width=WIDE, highlight=False)
        table.show(wide, arms, found, runs, study, everything=everything)
    rows = json.dumps(table.rows(arms, study), indent=1) + "\n"
    for path in filter(None, (out / "table.json", json_file)):
        path.write_text(rows)

    from sandbox.report.figures import draw

    drawn = draw(arms, out, study, everything=everything)
    for path in [out / "table.txt", out / "table.json", *drawn, *map(_folder, runs)]:
        console.print(str(path), style="dim", soft_wrap=True)


def _name(paths: Sequence[Path]) -> str:
    first = paths[0].resolve().stem if paths[0].is_file() else paths[0].resolve().name
    return first if len(paths) == 1 else f"{first}-and-{len(paths) - 1}-more"


def _folder(run: Run) -> str:
    """A run and, where there is one, its W&B folder."""
    return f"{run.folder} and wandb/ in it" if (run.folder / "wandb").is_dir() else str(run.folder)
