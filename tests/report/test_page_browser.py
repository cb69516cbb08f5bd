"""The page in a browser: nothing leaves it, nothing complains, filters and colours and tables do what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.core.reading import Reading
from sandbox.report.command import gather, page_of
from scripts.bench_page import sweep
from scripts.browser import CHROMIUM, Browser, browser
from tests.report.conftest import write_run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine")]

TOLD = (Reading("performance/process", "P, the process's objective", "lower", headline=True),
        Reading("performance/human", "H, the human's objective", "higher", headline=True),
        Reading("merge/m", "M, merge of outer and inner", null="merge/null", headline=True),
        Reading("merge/null", "M of random partitions"), Reading("gap/*", "Gap"), Reading("rule/*", "phi"),
        Reading("distance/human_process", "d(H, P)"), Reading("distance/process_agent", "d(P, A)"),
        Reading("distance/human_agent", "d(H, A)"))  # fmt: skip
EVIL = "</script><b>x</b>\"'& =,\u2028"
ARMS = 9


def readings(k: int):
    return {
        "performance/process": lambda step, seed: 2 - step / 100 * k + seed / 1000,
        "performance/human": lambda step, seed: 0.5 + step / 100 * k + seed / 1000,
        "merge/m": lambda step, seed: 0.1 * k + seed / 1000,
        "merge/null": lambda step, seed: 0.35,
        "gap/practice_gate": lambda step, seed: 0.1 + seed / 1000,
        "gap/audit": lambda step, seed: 0.15 - 0.01 * k - seed / 1000,
        "rule/lr": lambda step, seed: 0.1 * k,
        "distance/human_process": lambda step, seed: 0.3 + step / 50,
        "distance/process_agent": lambda step, seed: 0.4,
        "distance/human_agent": lambda step, seed: 0.5,
    }


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page of nine arms, one of an awkward name; one of a run with one seed that reads nothing and has failed."""
    place = tmp_path_factory.mktemp("pages")
    for k in range(ARMS):
        name = EVIL if k == 8 else f"arm {k}"
        write_run(place / "runs" / f"{k}", name, readings=readings(k), described=TOLD, steps=8,
                  edit={"rule/lr": lambda step, seed: step / 10}, why="p = .2", settings={"rule.trust": k / 10},
                  verdict=lambda step, seed: "rejected" if step % 2 else "accepted")  # fmt: skip
    write_run(
        place / "bare" / "0", "bare", seeds=[0], described=(), state="failed", own=lambda step, seed: float("nan")
    )
    found = {}
    for name in ("runs", "bare"):
        found[name] = place / f"{name}.html"
        page_of(gather([place / name]), found[name])
    found["live"] = place / "live.html"
    page_of(gather([place / "runs"]), found["live"], refresh=0.5)
    return found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture
def page(chromium: Browser, pages: dict[str, Path]) -> Browser:
    chromium.said.clear()
    chromium.asked.clear()
    chromium.open(pages["runs"])
    return chromium


def shown(page: Browser) -> list[str]:
    """The arms of the table, once it is in view: what is not is drawn when it comes there."""
    page.run("document.getElementById('table').scrollIntoView()")
    page.settle()
    page.settle()
    return page.run("[...document.querySelectorAll('#table tbody tr td:first-child button')].map((one) => one.title)")


def inked(page: Browser) -> list[str]:
    return page.run("[...document.querySelectorAll('#bar button.arm')].map((one) => one.title)")


def type_in(page: Browser, words: str) -> None:
    page.run(f"(() => {{ const one = document.getElementById('words'); one.value = {json.dumps(words)};"
             " one.dispatchEvent(new Event('input')); })()")  # fmt: skip
    page.settle()


def scrolled(page: Browser) -> None:
    """Everything has been in view once."""
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    height = page.run("document.documentElement.scrollHeight")
    for top in range(0, height, 600):
        page.run(f"scrollTo(0, {top})")
        page.settle()


@pytest.mark.parametrize("name", ["runs", "bare", "live"])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_complains_and_nothing_leaves_the_page(chromium: Browser, pages, name: str, dark: bool) -> None:
    chromium.said.clear()
    chromium.asked.clear()
    chromium.open(pages[name], dark=dark)
    scrolled(chromium)
    assert chromium.said == []
    assert {address for address in chromium.asked if not address.startswith("about:")} == {pages[name].as_uri()}


def test_every_part_is_there(page: Browser) -> None:
    scrolled(page)
    heads = page.run("[...document.querySelectorAll('h2')].map((one) => one.textContent)")
    assert heads == ["At a glance", "Over reflective steps", "The string from H through P to A",
                     "Outer against inner objective", "From settings to readings", "Edits", "Arms", "Runs"]  # fmt: skip
    assert page.run("document.querySelectorAll('#panels canvas').length") == 12
    assert page.run("document.querySelectorAll('#string svg').length") == 6
    assert page.run("document.querySelectorAll('#path polyline').length") == ARMS
    assert page.run("document.querySelectorAll('#parallel path.hit').length") == ARMS
    assert page.run("document.querySelectorAll('#edits svg circle').length") == 12  # three seeds, four accepted edits
    assert page.run("document.querySelectorAll('#edits svg path.twig').length") == 24
    assert EVIL.strip() in page.run("document.getElementById('table').textContent")
    assert page.run("document.querySelectorAll('#table b, #bar b').length") == 0


def test_the_glance_answers_which_one_merges_and_which_overfits(page: Browser) -> None:
    cards = page.run("[...document.querySelectorAll('.cards .frame')].map((one) => one.innerText)")
    merges, overfits = cards[0], cards[1]
    assert merges.startswith("Which one merges?")
    assert "5 of 9:" in merges  # 0.4, ..., 0.8 against 0.35
    assert merges.count("above its null") == 5
    assert merges.index("arm 7") < merges.index("arm 6") < merges.index("arm 5") < merges.index("below its null")
    assert "5 of 9:" in overfits  # 0.05 - 0.01 k - seed / 500: at k = 4 .008, with half a width of .005
    assert overfits.count("overfits\n") >= 5


def test_a_filter_filters_everything(page: Browser) -> None:
    assert len(shown(page)) == ARMS
    type_in(page, "arm trust=0.3")
    assert shown(page) == ["arm 3"] == inked(page)
    assert page.run("document.querySelector('#bar .count').textContent") == "1 of 9 arms"
    scrolled(page)
    assert page.run("document.querySelectorAll('#path polyline').length") == 1
    assert page.run("document.querySelectorAll('#runs tbody tr').length") == 1
    type_in(page, "nothing has this name")
    assert shown(page) == []
    assert page.said == []
    page.run("[...document.querySelectorAll('#bar button')].find((one) => one.textContent === 'reset').click()")
    page.settle()
    assert len(shown(page)) == ARMS


def test_six_lines_have_a_colour_and_a_seventh_takes_one(page: Browser) -> None:
    before = inked(page)
    assert len(before) == 6
    grey = next(name for name in shown(page) if name not in before)
    page.run(
        f"[...document.querySelectorAll('#table button.arm')].find((one) => one.title === {json.dumps(grey)}).click()"
    )
    page.settle()
    after = inked(page)
    assert len(after) == 6
    assert grey in after
    colours = page.run(
        "[...document.querySelectorAll('#bar button.arm i')].map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(colours)) == 6
    page.run("document.querySelector('#bar button.arm').click()")
    page.settle()
    assert len(inked(page)) == 5


def test_the_address_keeps_what_is_shown(page: Browser, pages) -> None:
    type_in(page, "trust=0.3")
    kept = page.run("location.hash")
    page.open(pages["runs"], hash=kept)
    assert shown(page) == ["arm 3"]


def test_a_table_is_sorted_by_a_click(page: Browser) -> None:
    click = "[...document.querySelectorAll('#table th button')].find((one) => one.textContent.startsWith('H ')).click()"
    page.run(click)
    assert shown(page)[0] == "arm 0"
    assert page.run("document.querySelectorAll('#table th[aria-sort=ascending]').length") == 1
    page.run(click)
    assert shown(page)[:2] == [EVIL, "arm 7"]


def test_the_data_of_a_figure_are_behind_a_click(page: Browser) -> None:
    page.run("window.made = []; URL.createObjectURL = (blob) => { made.push(blob); return 'blob:none'; };"
             "HTMLAnchorElement.prototype.click = () => 0")  # fmt: skip
    page.run("document.querySelector('#panels figure button.quiet').click()")
    cells = page.run("[...document.querySelectorAll('#panels .data tbody tr')].slice(0, 1).map((one) => one.innerText)")
    assert cells[0].split("\t")[0].strip()
    page.run("[...document.querySelectorAll('#panels .data button')].forEach((one) => one.click())")
    told, rows = page.run("Promise.all(made.map((blob) => blob.text()))")
    assert told.splitlines()[0] == "arm,n,step,reading,mean,low,high"
    assert '"</script><b>x</b>""\'& =,' in told
    assert len(json.loads(rows)) == ARMS * 8


def test_the_string_moves_with_its_slider(page: Browser) -> None:
    page.run("document.getElementById('string').scrollIntoView()")
    page.settle()
    last = page.run("document.querySelector('#string polyline[stroke-linejoin]').getAttribute('points')")
    page.run("(() => { const one = document.querySelector('#string input'); one.value = 0;"
             " one.dispatchEvent(new Event('input')); })()")  # fmt: skip
    assert page.run("document.querySelector('#string output').textContent") == "step 0"
    assert page.run("document.querySelector('#string polyline[stroke-linejoin]').getAttribute('points')") != last


def test_a_live_page_loads_itself_again_where_the_reader_was(chromium: Browser, pages) -> None:
    chromium.open(pages["live"])
    chromium.run("scrollTo(0, 700)")
    type_in(chromium, "arm")
    chromium.run("document.activeElement.blur(); window.old = 1")
    chromium.wait("window.old === undefined && document.getElementById('foot')?.children.length")
    assert chromium.run("document.getElementById('words').value") == "arm"
    chromium.wait("Math.abs(scrollY - 700) < 5")
    assert "live: made" in chromium.run("document.getElementById('head').innerText")


def test_a_thousand_arms_are_a_page_like_any_other(chromium: Browser, tmp_path: Path) -> None:
    sweep(tmp_path / "runs", 1000, 1)
    path = tmp_path / "page.html"
    assert page_of(gather([tmp_path / "runs"]), path) < 6_000_000
    chromium.said.clear()
    chromium.open(path)
    scrolled(chromium)
    assert chromium.said == []
    assert len(inked(chromium)) == 6
    assert "994 grey" in chromium.run("document.getElementById('bar').innerText")
    assert len(shown(chromium)) == 30  # a page of the table
    type_in(chromium, "pairedt horizon=20 lr=0.1")
    assert 0 < len(shown(chromium)) < 30
    assert "more points than are drawn" in chromium.run("document.getElementById('panels').innerText")


def test_it_is_one_column_where_the_screen_is_narrow(chromium: Browser, pages) -> None:
    chromium.open(pages["runs"], width=390)
    scrolled(chromium)
    assert chromium.run("document.documentElement.scrollWidth") <= 390
    lefts = chromium.run("[...document.querySelectorAll('#panels details[open] .frame')].map((one) => one.offsetLeft)")
    assert len(set(lefts)) == 1
