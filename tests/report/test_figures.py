from __future__ import annotations

from math import isclose
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from sandbox.core.reading import Reading
from sandbox.report import figures
from sandbox.report.arms import Arm, group
from sandbox.report.course import track
from sandbox.report.dial import curve, dialled, draw_dial
from sandbox.report.read import find_runs
from sandbox.report.study import Study
from sandbox.report.style import GREY, colours

READINGS = {
    "performance/human": lambda step, seed: 0.5 + step / 100 + seed / 1000,
    "rule/trust": lambda step, seed: 0.1,
    "teacher/m": lambda step, seed: 0.4 + seed / 1000,
    "teacher/null": lambda step, seed: 0.3,
    "gap/audit": lambda step, seed: 0.1,
}
OWN, HUMAN = Reading("own", "A"), Reading("performance/human", "H", "higher")


def trusts(tmp_path: Path, write, *values: float, **more) -> list[Arm]:
    for trust in values:
        write(tmp_path / f"{trust}", "dial", settings={"rule.trust": trust, **more}, readings=READINGS)
    return group(find_runs([tmp_path]))


def titles(figure: Figure | None) -> list[str]:
    assert figure
    return [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]


def test_only_panels_with_data_are_drawn(tmp_path: Path, write) -> None:
    arms = group(find_runs([write(tmp_path / "own", "own", readings=READINGS)]))
    page = figures.page(arms, None, figures.panels(arms)[0])
    assert [title.split(",")[0] for title in titles(page)] == ["A", "H", "Rule: trust", "M", "Edits accepted"]
    other = figures.page(arms, None, figures.panels(arms)[1])
    assert titles(other) == ["Gap of the audit"]
    assert page
    assert any("n = 3 seeds" in text.get_text() for text in page.texts)


def test_a_band_is_the_interval_and_the_null_is_dashed(tmp_path: Path, write) -> None:
    arms = group(find_runs([write(tmp_path / "own", "own", readings=READINGS)]))
    page = figures.page(arms, None, figures.panels(arms)[0])
    assert page
    merge = next(axes for axes in page.axes if axes.get_ylabel().startswith("share"))
    solid, dashed = merge.get_lines()
    assert solid.get_xdata().tolist() == [0, 2, 4]  # type: ignore[union-attr]
    assert np.allclose(solid.get_ydata(), 0.401)
    assert np.allclose(dashed.get_ydata(), 0.3)
    assert dashed.is_dashed()
    low = min(merge.collections[0].get_paths()[0].vertices[:, 1])  # type: ignore[index]
    assert isclose(low, 0.401 - 4.30265 * 0.001 / 3**0.5, abs_tol=1e-6)


@pytest.mark.parametrize(("sign", "scale"), [(1, "log"), (-1, "linear")])
def test_the_own_objective_is_on_a_log_axis_where_positive(tmp_path: Path, write, sign: int, scale: str) -> None:
    arms = group(find_runs([write(tmp_path / "own", "own", own=lambda step, seed: sign / step)]))
    page = figures.page(arms, None, figures.panels(arms)[0])
    assert page
    assert page.axes[0].get_yscale() == scale


def test_edits_add_up(tmp_path: Path, write) -> None:
    folder = write(tmp_path / "own", "own", verdict=lambda step, seed: "accepted" if step > 1 else "rejected")
    arms = group(find_runs([folder]))
    assert track(arms[0], Reading("edits/accepted", ""))[1][:, 0].tolist() == [0, 1, 2, 3]
    assert track(arms[0], Reading("edits/refused", ""))[1][:, 0].tolist() == [1, 1, 1, 1]


def test_a_long_run_is_thinned_but_keeps_its_ends(tmp_path: Path, write) -> None:
    arms = group(find_runs([write(tmp_path / "own", "own", seeds=[0], steps=1000)]))
    steps, values = track(arms[0], OWN)
    assert (len(steps), len(values), steps[0], steps[-1]) == (400, 400, 1, 1000)


def test_the_start_is_left_out_of_the_objectives(tmp_path: Path, write) -> None:
    arms = group(find_runs([write(tmp_path / "own", "own", readings=READINGS)]))
    assert track(arms[0], HUMAN)[0].tolist() == [2, 4]


def test_the_dial_is_one_number_that_sets_all_arms_apart(tmp_path: Path, write) -> None:
    arms = trusts(tmp_path, write, 0.0, 0.5, 1)
    assert dialled(arms) == "rule.trust"
    assert dialled(arms[:1]) is None
    other = group(find_runs([write(tmp_path / "more" / "x", "dial", settings={"rule.trust": 0.7, "task.noise": 0.2})]))
    assert dialled([*arms, *other]) is None  # two keys
    word = group(find_runs([write(tmp_path / "word", "dial", settings={"rule.trust": "much"})]))
    assert dialled([*arms, *word]) is None
    again = group(find_runs([write(tmp_path / "again", "again", settings={"rule.trust": 0.5})]))
    assert dialled([*arms, *again]) is None


def test_the_dial_shows_headlines_their_null_and_their_closed_form(tmp_path: Path, write, dial) -> None:
    figure = draw_dial(trusts(tmp_path, write, 0.0, 0.5, 1), "rule.trust", dial)
    assert [title.split(",")[0] for title in titles(figure)] == ["M", "H"]
    assert figure
    legend = figure.axes[0].get_legend()
    assert legend
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["closed form for teacher rate 0.035, 10 inner steps", "M measured",
                      "null: M of random partitions"]  # fmt: skip
    assert not figure.axes[1].get_legend()


def test_the_closed_form_is_of_self_distillation_alone(tmp_path: Path, write, dial) -> None:
    arms = trusts(tmp_path, write, 0.0, 0.5, **{"rule._target_": "sandbox.rule.sgd.SGD"})
    for figure in (
        draw_dial(arms, "rule.trust", dial),
        draw_dial(trusts(tmp_path / "b", write, 0.1, 1.0), "rule.trust", Study()),
    ):
        assert figure
        lines = [line for axes in figure.axes for line in axes.get_lines()]
        assert lines
        assert not [line for line in lines if "closed" in str(line.get_label())]


def test_the_closed_form_of_the_dial(dial) -> None:
    [form] = dial.closed_forms

    def at(trust: list[float], rate: float, horizon: int) -> np.ndarray:
        return curve(form, {"rule.teacher_rate": rate, "horizon": horizon}, np.array(trust))

    assert np.allclose(at([0.0, 0.5, 1.0], 0.3, 1), [0, 1 / 3, 0.5])  # one step, a = 1: t / (1 + t)
    assert np.allclose(at([0.5], 0, 10), 1 / 3)  # a teacher that never moves leaves all unaveraged
    a = (1 + 0.9 + 0.81) / 3  # a teacher's lag over three steps at rate .1, term by term
    assert isclose(at([0.4], 0.1, 3)[0], 0.4 * a / (0.6 + 0.8 * a))


def test_files_are_written_and_no_colour_serves_twice(tmp_path: Path, write) -> None:
    arms = trusts(tmp_path / "runs", write, 0.0, 0.5)
    paths = figures.draw(arms, tmp_path)
    assert [path.name for path in paths] == ["steps.png", "dial.png"]
    paths = figures.draw(arms, tmp_path, everything=True)
    assert [path.name for path in paths] == ["steps.png", "dial.png", "others.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)


def test_six_arms_have_a_colour_of_their_own_and_the_others_are_grey() -> None:
    for count in (1, 2, 6):
        assert len(set(colours(count, range(6)))) == count
    inks = colours(20, [7, 3, 0, 1, 2, 19])
    assert [place for place, ink in enumerate(inks) if ink != GREY] == [0, 1, 2, 3, 7, 19]
    assert len({ink for ink in inks if ink != GREY}) == 6
    assert inks[7] == colours(8, [7])[7]
    assert len(set(colours(20, (), ordered=True))) == 20


def test_of_many_arms_a_legend_names_six(tmp_path: Path, write) -> None:
    for number in range(9):
        write(tmp_path / f"{number}", f"arm {number}", readings=READINGS)
    arms = group(find_runs([tmp_path]))
    drawn = figures.page(arms, None, figures.panels(arms)[0], [8, 0, 1, 2, 3, 4])
    assert drawn
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == [
        "arm 0", "arm 1", "arm 2", "arm 3", "arm 4", "arm 8", "3 others"]  # fmt: skip


def test_a_run_without_a_finite_number_is_drawn_all_the_same(tmp_path: Path, write) -> None:
    never = write(tmp_path / "own", "own", own=lambda step, seed: float("nan"), readings=READINGS)
    assert figures.draw(group(find_runs([never])), tmp_path)
