"""Dashboards as code: a workspace and a report of W&B whose panels name what mirrors write, section by section."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sandbox.core.error import ConfigError, explain
from sandbox.lines.readings import described
from sandbox.mirror.names import AXIS, ENDS, INNER_AXIS, OWN, TITLES, axis_of, key_of
from sandbox.mirror.rows import row
from sandbox.mirror.settings import filed, given
from sandbox.mirror.source import Feed, Run

COLUMNS, WIDE, HIGH = 3, 8, 6  # of panels beside each other; the width and height of one, in W&B's units


@dataclass(frozen=True)
class Panel:
    """Curves over an axis; or, `of` a "chart" or a "table", what a mirror logs at its end."""

    title: str
    keys: tuple[str, ...]
    axis: str = AXIS
    of: Literal["curves", "chart", "table"] = "curves"


@dataclass(frozen=True)
class Section:
    """Panels under one name. `about` says what they are."""

    name: str
    about: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Layout:
    """What is to be put where. `sweeps`: the names of the sweeps that the runs belong to."""

    project: str
    entity: str | None
    name: str
    sections: tuple[Section, ...]


def layout(runs: Sequence[Run], *, project: str | None = None, entity: str | None = None) -> Layout:
    """The sections of these runs, from the keys that their mirrors write and no others."""
    where = filed(runs[0], given(runs[0], {}))
    keys = dict.fromkeys(key for run in runs for key in written(run))
    titles = {key_of(name): title for run in runs for name, title in _titles(run)} | {OWN.name: OWN.title}
    axes = {key: axis for run in runs for key in keys if (axis := axis_of(key, run.config)) != AXIS}
    panels: dict[str, list[Panel]] = {name: [] for name in TITLES}
    for key in keys:
        if key in (AXIS, INNER_AXIS) or key.endswith(ENDS):
            continue
        curves = tuple(one for one in (key, *(key + end for end in ENDS)) if one in keys)
        section = "inner" if key == OWN.name else key.partition("/")[0] if "/" in key else "other"
        panels.setdefault(section, []).append(Panel(titles.get(key, key), curves, axes.get(key, AXIS)))
    for key in charted(runs):
        panels.setdefault("seeds", []).append(Panel(titles.get(key, key), (f"seeds/{key}",), of="chart"))
    panels["edit"].append(Panel("Edits", ("edits",), of="table"))
    sections = tuple(Section(name, TITLES.get(name, name), tuple(found)) for name, found in panels.items() if found)
    sweeps = dict.fromkeys(str(run.config["sweep"]) for run in runs if run.config.get("sweep"))
    return Layout(project or where.project, entity or where.entity, " ".join(sweeps) or "sandbox", sections)


def written(run: Run) -> list[str]:
    """Every key of the rows of a run's mirror."""
    found = dict.fromkeys(key for line in Feed(run.folder).lines() if line["level"] == run.top
                          for key in row(line, by_seed=False))  # fmt: skip
    return list(found)


def charted(runs: Sequence[Run]) -> list[str]:
    """The keys of which mirrors draw a chart over seeds: own and headlines, where there are several seeds."""
    several = [run for run in runs if run.config.get("seeds", 1) > 1]
    keys = {key for run in several for key in written(run)}
    headlines = [OWN, *(reading for run in several for reading in run.readings if reading.headline)]
    return [key for key in dict.fromkeys(key_of(reading.name) for reading in headlines) if key in keys]


def _titles(run: Run) -> Iterator[tuple[str, str]]:
    names = {name for line in Feed(run.folder).lines() for name in line["readings"]}
    for name in sorted(names):
        reading = described(name, run.readings)
        yield name, reading.title if reading else name


def shown(plan: Layout) -> str:
    """The layout in words, once W&B's own library has taken it."""
    workspace_of(plan)
    report_of(plan)
    lines = [f"workspace and report '{plan.name}' in {plan.entity or '(the entity of the key)'}/{plan.project}"]
    for section in plan.sections:
        lines.append(f"\n{section.name}: {section.about}")
        lines += [f"  {', '.join(panel.keys)}  over {panel.axis}  {panel.title}" for panel in section.panels]
    return "\n".join(lines)


def pushed(plan: Layout) -> Iterator[str]:
    """Put both on the server that the environment names; yields where each is. Raises `ConfigError` where there is no
    key, or no answer."""
    _library()
    import requests
    import wandb

    try:
        plan = replace(plan, entity=plan.entity or wandb.Api().default_entity)
        for kind, made in (("workspace", workspace_of(plan)), ("report", report_of(plan))):
            made.save()
            yield f"{kind} '{plan.name}': {made.url}"
    except (wandb.Error, ValueError, requests.RequestException) as error:
        do = "`wandb login`, then `sandbox mirror RUN… --online`, then this."
        raise ConfigError(explain(expected="a W&B with the project of these runs", got=" ".join(str(error).split()),
                                  do=do)) from error  # fmt: skip


def workspace_of(plan: Layout) -> Any:
    """W&B's workspace: a section a name, runs grouped as the mirror groups them."""
    ws, wr = _library()
    sections = [ws.Section(name=section.name, is_open=place < COLUMNS, panels=_panels(wr, section))
                for place, section in enumerate(plan.sections)]  # fmt: skip
    return ws.Workspace(entity=plan.entity or "", project=plan.project, name=plan.name, sections=sections,
                        settings=ws.WorkspaceSettings(x_axis=AXIS, group_by_prefix="first"),
                        runset_settings=ws.RunsetSettings(groupby=[ws.Metric("Group")]))  # fmt: skip


def report_of(plan: Layout) -> Any:
    """W&B's report: a heading, a sentence and a grid a section."""
    _, wr = _library()
    blocks: list[Any] = [wr.TableOfContents()]
    for section in plan.sections:
        runs = wr.Runset(entity=plan.entity or "", project=plan.project, groupby=["Group"])
        blocks += [wr.H2(text=section.name), wr.P(text=section.about),
                   wr.PanelGrid(runsets=[runs], panels=_panels(wr, section))]  # fmt: skip
    return wr.Report(entity=plan.entity or "", project=plan.project, title=plan.name, blocks=blocks)


def _panels(wr: Any, section: Section) -> list[Any]:
    """W&B's panels, laid out in rows."""
    return [_panel(wr, panel, wr.Layout(x=WIDE * (place % COLUMNS), y=HIGH * (place // COLUMNS), w=WIDE, h=HIGH))
            for place, panel in enumerate(section.panels)]  # fmt: skip


def _panel(wr: Any, panel: Panel, layout: Any) -> Any:
    if panel.of == "table":
        return wr.WeavePanelSummaryTable(table_name=panel.keys[0], layout=layout)
    if panel.of == "chart":
        return wr.CustomChart(chart_name="wandb/lineseries/v0", layout=layout,
                              query={"summaryTable": {"tableKey": f"{panel.keys[0]}_table"}},
                              chart_fields={"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"},
                              chart_strings={"title": panel.title, "xname": AXIS})  # fmt: skip
    return wr.LinePlot(title=panel.title, x=panel.axis, y=list(panel.keys), layout=layout)


def _library() -> tuple[Any, Any]:
    """`wandb_workspaces`; raises `ConfigError` where it isn't installed."""
    os.environ.setdefault("WANDB_SILENT", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own use of pydantic
        try:
            import wandb_workspaces.reports.v2 as wr
            import wandb_workspaces.workspaces as ws
        except ImportError as error:
            raise ConfigError(explain(expected="the library of W&B's dashboards", got="none",
                                      do="pip install 'reflective-sandbox[dashboards]'")) from error  # fmt: skip
    return ws, wr
