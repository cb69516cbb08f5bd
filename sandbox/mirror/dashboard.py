"""Dashboards as code: a workspace and a report of W&B whose panels name what mirrors write, section by section."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.core.error import ConfigError, explain
from sandbox.lines.readings import described
from sandbox.mirror.names import AXIS, INNER_AXIS, OWN, TITLES, axis_of, key_of
from sandbox.mirror.rows import row
from sandbox.mirror.settings import filed, given
from sandbox.mirror.source import Feed, Run

ENDS = ("_low", "_high")  # of an interval: they stand in the panel of their mean
GATE = "gate/"


@dataclass(frozen=True)
class Panel:
    """Curves over an axis, or a chart or table that a mirror logs at its end."""

    title: str
    keys: tuple[str, ...]
    axis: str = AXIS


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
    sections = tuple(Section(name, TITLES.get(name, name), tuple(found)) for name, found in panels.items() if found)
    sweeps = dict.fromkeys(str(run.config["sweep"]) for run in runs if run.config.get("sweep"))
    return Layout(project or where.project, entity or where.entity, " ".join(sweeps) or "sandbox", sections)


def written(run: Run) -> list[str]:
    """Every key of the rows of a run's mirror."""
    found = dict.fromkeys(key for line in Feed(run.folder).lines() if line["level"] == run.top
                          for key in row(line, by_seed=False))  # fmt: skip
    return list(found)


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


def pushed(plan: Layout) -> list[str]:
    """Put both on the server that the environment names; returns where they are. Raises `ConfigError` where there is no
    key, or no answer."""
    import wandb

    try:
        entity = plan.entity or wandb.Api().default_entity
        plan = Layout(plan.project, entity, plan.name, plan.sections)
        workspace, report = workspace_of(plan), report_of(plan)
        workspace.save()
        report.save()
    except (wandb.Error, ValueError) as error:
        got = " ".join(str(error).split())
        raise ConfigError(explain(expected="a W&B that takes dashboards", got=got,
                                  do="Run `wandb login`; to show them needs no server.")) from error  # fmt: skip
    return [f"workspace {plan.name}: {workspace.url}", f"report {plan.name}: {report.url}"]


def workspace_of(plan: Layout) -> Any:
    """W&B's workspace: a section a name, runs grouped as the mirror groups them."""
    ws, wr = _library()
    sections = [ws.Section(name=section.name, is_open=place < 3, panels=[_plot(wr, panel) for panel in section.panels])
                for place, section in enumerate(plan.sections)]  # fmt: skip
    return ws.Workspace(entity=plan.entity or "", project=plan.project, name=plan.name, sections=sections,
                        settings=ws.WorkspaceSettings(x_axis=AXIS, group_by_prefix="first"),
                        runset_settings=ws.RunsetSettings(groupby=[ws.Metric("Group")]))  # fmt: skip


def report_of(plan: Layout) -> Any:
    """W&B's report: a heading, a sentence and a grid a section."""
    _, wr = _library()
    blocks: list[Any] = [wr.TableOfContents()]
    for section in plan.sections:
        runs = wr.Runset(entity=plan.entity or "", project=plan.project, groupby=["group"])
        blocks += [wr.H2(text=section.name), wr.P(text=section.about),
                   wr.PanelGrid(runsets=[runs], panels=[_plot(wr, panel) for panel in section.panels])]  # fmt: skip
    return wr.Report(entity=plan.entity or "", project=plan.project, title=plan.name, blocks=blocks)


def _plot(wr: Any, panel: Panel) -> Any:
    return wr.LinePlot(title=panel.title, x=panel.axis, y=list(panel.keys))


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
