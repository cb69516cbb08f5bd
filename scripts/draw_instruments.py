"""The pictures of docs/instruments.md: each instrument on a small system whose answer is known.

Run as `python scripts/draw_instruments.py [name...]`; without names it draws all, in about two minutes. Each goes to
docs/instruments/<name>.png, and its caption is printed. Means are shown and told with their 95 % interval over seeds.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from known_systems import SYSTEMS, editor, regression, srwm, string
from picture import AGENT, HUMAN, NULL, PROCESS, SMALL, Drawn, curve, dot, say, sheet, ticks, told
from regret_correlation import correlation, pairs
from wiggle import EPSILONS, WORLDS, wiggles

from sandbox.measure.behaviour import tail
from sandbox.measure.convergence import approach
from sandbox.measure.cut import loop_cut
from sandbox.measure.integrability import integrability
from sandbox.measure.interval import interval
from sandbox.measure.mdp import MDP
from sandbox.measure.modes import merge_index
from sandbox.measure.oracle import lengths, run
from sandbox.measure.revealed import meg, soft_policy
from sandbox.report.style import FAINT, INK, PALETTE, colours

OUT = Path(__file__).resolve().parent.parent / "docs" / "instruments"
SEEDS = 10


def _oracle() -> Drawn:
    figure, (rest, merge) = sheet(2)
    grid, some, start = np.linspace(0, 0.9, 200), np.linspace(0, 0.9, 7), torch.tensor([0.3, -0.5]).double()
    ends = np.array([lengths(string(lam), run(string(lam).step, start, steps=4000)[-1]) for lam in some])
    exact = np.array([lengths(string(lam), string(lam).rest) for lam in grid])
    for column, name, ink, by in ((2, "agent\n|a* − h|", AGENT, (-8, 12)), (0, "process\n|p* − h|", PROCESS, (4, -12))):
        rest.plot(grid, exact[:, column], color=ink)
        rest.plot(some, ends[:, column], "o", color=ink)
        say(rest, name, (grid[150], exact[150, column]), ink, by=by)
    rest.axhline(0, color=HUMAN)
    say(rest, "human", (0.45, 0), HUMAN, by=(0, -7))
    rest.set(xlabel="reflectivity λ", ylabel="distance at rest (|b| = 1)", ylim=(-1, 10.6))
    ratios, few = np.geomspace(0.01, 10, 200), np.geomspace(0.01, 10, 7)
    for lam, ink in zip((0.1, 0.5, 1.0), colours(3, ordered=True), strict=True):
        line, at = ([string(lam, outer_rate=0.05 * r, inner_rate=0.05) for r in x] for x in (ratios, few))
        merge.semilogx(ratios, [one.merge_index for one in line], color=ink)
        merge.plot(few, [merge_index(one.jacobian, [0]).value for one in at], "o", color=ink)
        say(merge, f"λ = {lam:g}", (10, line[-1].merge_index), ink)
    merge.set(xlabel="outer rate / inner rate", ylabel="merge index MI")
    apart = np.abs(ends - [lengths(string(lam), string(lam).rest) for lam in some]).max()
    return figure, (
        f"The string at rest; lines: closed form, dots: 4000 simulated steps (off by {apart:.0e} at most). At λ = 0.9 "
        f"the agent is {ends[-1, 2]:.2f} |b| and the process {ends[-1, 0]:.2f} |b| from the human. Right: MI, the dots "
        f"by eigenvectors of the Jacobian, is 1 for equal rates at any λ > 0."
    )


def _distance() -> Drawn:
    found, lost = pairs(60, 0, (0, 2))
    (figure, panels), words = sheet(2, sharey=True), []
    for axes, name, ink in zip(panels, ("STARC", "EPIC"), (PROCESS, FAINT), strict=True):
        words.append("{:.2f} [{:.2f}, {:.2f}]".format(*correlation(found[name], lost)))
        axes.plot(found[name].ravel(), lost.ravel(), "o", color=ink, markersize=2.5, alpha=0.5, markeredgewidth=0)
        axes.set(title=f"r = {words[-1]}", xlabel=f"{name} distance", xlim=(-0.03, 0.9))
    panels[0].set_ylabel("regret, mean of both ways")
    return figure, (
        f"Distance and regret over {lost.size} pairs of rewards in {len(lost)} worlds, from the same objective to an "
        f"unrelated one. Pearson's r, with a 95 % interval over worlds: STARC {words[0]}, EPIC {words[1]}."
    )


def _behaviour() -> Drawn:
    figure, panels = sheet(2)
    shares, words = (1, 0.1, 0.01), []
    for name, ink, by in (("Gaussian", FAINT, -19), ("t2 noise", PROCESS, 9)):
        values = np.zeros((2, 3, SEEDS))
        for seed in range(SEEDS):
            rng = np.random.default_rng([seed, 0])
            human = rng.standard_normal(4000)
            noise = rng.standard_normal(4000) if ink == FAINT else rng.standard_t(2, 4000)
            cuts = tail(human + noise, human, q=shares)
            values[:, :, seed] = [cut.distance.value for cut in cuts], [cut.human for cut in cuts]
        for axes, value in zip(panels, values, strict=True):
            curve(axes, shares, value, ink, marker="o")
        say(panels[0], name, (0.01, values[0, 2].mean()), ink, by=(-1, by))
        words.append(f"{name}: distance {told(values[0, 0])} over all, {told(values[0, 2])} in the best 1 %, whose "
                     f"mean human score is {told(values[1, 2])}")  # fmt: skip
    for axes, name in zip(panels, ("rank-chord distance", "mean human score (sd)"), strict=True):
        axes.set(xscale="log", xlabel="best share q by P", ylabel=name, xlim=(1.3, 0.007))
        ticks(axes, shares)
    return figure, f"P is the human's score plus noise; 4000 behaviours, {SEEDS} seeds. {'; '.join(words)}."


def _revealed() -> Drawn:
    figure, (share, recovered) = sheet(2)
    betas, place = np.array([0, 0.1, 0.3, 1, 3, 10, 30]), np.arange(7)
    found = np.zeros((2, 2, 7, SEEDS))  # share and beta, true and unrelated
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, 0])
        mdp = MDP(rng.dirichlet(np.full(10, 0.1), (10, 4)), 0.9)
        goals = rng.standard_normal((2, 10))
        for b, beta in enumerate(betas):
            each = [meg(mdp, goal, soft_policy(mdp, goals[0], beta)) for goal in goals]
            found[:, :, b, seed] = [one.share for one in each], [one.beta for one in each]
    for g, name, ink, at, by in ((0, "true goal", AGENT, 4, -6), (1, "unrelated\ngoal", FAINT, 6, 5)):
        say(share, name, (at, curve(share, place, found[0, g], ink, marker="o")[at]), ink, by=(by, 3))
    share.set(xlabel="β of the agent (0: uniform)", ylabel="MEG, share of the most", ylim=(-0.03, 1.03))
    ticks(share, place[::2], ["0", ".3", "3", "30"])
    recovered.plot([0.1, 30], [0.1, 30], color=NULL, zorder=1)
    recovered.loglog(betas[1:], found[1, 0, 1:].mean(axis=1), "o", color=AGENT)
    recovered.set(xlabel="β of the agent", ylabel="β found")
    off = np.abs(found[1, 0, 1:] / betas[1:, None] - 1).max()
    return figure, (
        f"Soft-optimal agents in {SEEDS} random worlds. MEG by the true goal: {found[0, :, 0].max():.0f} at β = 0, "
        f"{told(found[0, 0, 6])} at β = 30; by an unrelated one {told(found[0, 1, 6])} there. β is found to {off:.0e}."
    )


def _string() -> Drawn:
    (figure, panels), words = sheet(2), []
    found = wiggles(SEEDS, 1000, 0)
    for epsilon, ink in zip(EPSILONS, (PROCESS, PALETTE[5]), strict=True):
        for axes, name in zip(panels, ("climbed", "share"), strict=True):
            values = [[getattr(one, name) for one in found[epsilon, k]] for k in WORLDS]
            mean = curve(axes, WORLDS, values, ink, marker="o")
            say(axes, f"ε = {epsilon:g}", (WORLDS[1], mean[1]), ink, by=(8, 6) if epsilon else (-6, -8))
            words.append(f"{told(values[0])} to {told(values[-1], 3)}")
    for axes, name in zip(panels, ("wiggle, at least", "share of processes that serve"), strict=True):
        axes.set(xscale="log", xlabel="worlds K", ylabel=name, ylim=(0, None))
        ticks(axes, WORLDS)
    return figure, (
        f"Processes whose agents lose at most ε in each of K worlds ({SEEDS} draws of 1000 samples). From K = 1 to 16 "
        f"at ε = 0 the wiggle falls from {words[0]}, the share of processes that serve from {words[1]}."
    )


def _coupling() -> Drawn:
    (figure, (axes,)), words = sheet(), []
    for row, (name, system) in enumerate(SYSTEMS.items()):
        each = [system(seed).coupling for seed in range(SEEDS)]
        null, spread = (float(np.mean([getattr(c, key) for c in each])) for key in ("null", "null_spread"))
        m = interval([float(c.m) for c in each])
        axes.barh(row, 2 * spread, left=null - spread, color=NULL, height=0.7)
        dot(axes, row, m, AGENT)
        words.append(f"{name} {told(m) if m.high > m.low else f'{m.mean:.0f} in each'} ({null:.2f} ± {spread:.2f})")
    axes.set_yticks(range(len(SYSTEMS)), SYSTEMS, color=INK)
    axes.set(xlabel="coupling M; grey: random partitions, mean ± sd", xlim=(-0.03, 1.03), ylim=(7.6, -0.6))
    return figure, f"M over {SEEDS} seeds (random partitions in brackets): {'; '.join(words)}."


def _merge_index() -> Drawn:
    figure, (axes,) = sheet()
    betas = np.array([1e-4, 1e-3, 1e-2, 0.1, 0.5])
    each = [[regression("online", seed, beta=beta) for seed in range(SEEDS)] for beta in betas]
    m = np.array([[float(one.coupling.m) for one in row] for row in each])
    mi = np.array([[one.merge_index.value for one in row if one.merge_index] for row in each])
    for values, name, ink, by in ((m, "coupling M", PROCESS, (0, 9)), (mi, "merge index MI", AGENT, (8, -4))):
        say(axes, name, (1e-3, curve(axes, betas, values, ink, marker="o")[1]), ink, by=by)
    axes.set(xscale="log", yscale="log", xlabel="outer learning rate β of an online hypergradient", ylabel="index")
    power = np.polyfit(np.log(betas[:3]), np.log(mi[:3]), 1)[0]
    return figure, (
        f"An online hypergradient, {SEEDS} seeds: M is {told(m[0])} at β = .0001 and {told(m[-1])} at β = .5; MI is "
        f"{told(mi[0], 4)} and {told(mi[-1])}, growing as β to the power {told(power)} up to β = .01."
    )


def _graph() -> Drawn:
    figure, panels = sheet(2)
    places, words = {"k": (0, 1), "q": (1, 1), "beta": (0, 0), "y": (1, 0)}, []
    for axes, steps, name in zip(panels, (1, 4), ("one step", "four steps, fed back"), strict=True):
        first, *others = (srwm(steps, seed).components for seed in range(SEEDS))
        for start, end in first.edges:
            axes.annotate("", places[end], places[start], arrowprops={
                "arrowstyle": "-|>", "color": FAINT, "shrinkA": 13, "shrinkB": 13, "linewidth": 0.9,
                "connectionstyle": "arc3,rad=0.16"})  # fmt: skip
        for module, at in places.items():
            axes.text(*at, module.replace("beta", "β"), color="white", ha="center", va="center", fontsize=10, bbox={
                "boxstyle": "circle,pad=0.35", "edgecolor": "none",
                "facecolor": AGENT if module in first.components[0] else FAINT})  # fmt: skip
        axes.set(xlim=(-0.3, 1.3), ylim=(-0.3, 1.3), aspect="equal", title=f"{name}: LSCC {first.share:.2f}")
        axes.set_axis_off()
        alike = 1 + sum(one.components == first.components for one in others)
        parts = " ".join("{" + ", ".join(part) + "}" for part in first.components)
        words.append(f"{name}: LSCC {first.share:.2f}, {parts} ({alike} of {SEEDS} seeds)")
    return figure, f"Who rewrites whom in a self-referential weight matrix. {'; '.join(words)}."


def _cut() -> Drawn:
    figure, (axes,) = sheet()
    steps, start = 100, np.random.default_rng(0).standard_normal((SEEDS, 6))
    words, off, dials = [], 0.0, (0.0, 0.1, 0.5, 1.0)
    for lam, ink in zip(dials, colours(len(dials), ordered=True), strict=True):
        one = string(lam, d=3)
        found = loop_cut(one.step, torch.tensor(start), range(3), steps).divergence
        off = max(off, np.abs(found.T - [one.loop_cut(each, steps) for each in start]).max())
        say(axes, f"λ = {lam:g}", (steps, curve(axes, np.arange(1, steps + 1), found, ink)[-1]), ink)
        words.append(f"{told(found[-1])} at λ = {lam:g}" if lam else f"{found.max():.0f} at λ = 0")
    axes.set(xlabel="steps k since the loop was cut", ylabel="loop-cut divergence LCD", ylim=(-0.02, None))
    return figure, (
        f"The string from {SEEDS} random starts: LCD after {steps} steps is {', '.join(words)} (off the "
        f"closed form by {off:.0e} at most)."
    )


def _integrability() -> Drawn:
    figure, (axes,) = sheet()
    degrees, seeds = np.linspace(0, 90, 19), 2 * SEEDS
    found = np.zeros((2, 19, seeds))  # gap and raw
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 0])
        a, b = rng.standard_normal((2, 6, 6))
        descent, rotation = (x / np.linalg.norm(x) for x in (-a @ a.T, b - b.T))
        rates = np.exp(rng.standard_normal(6))[:, None]
        for t, angle in enumerate(np.radians(degrees)):
            one = integrability(np.eye(6) + rates * (np.cos(angle) * descent + np.sin(angle) * rotation))
            found[:, t, seed] = one.gap, one.raw
    for row, name, ink, style, by in ((0, "gap IOG", AGENT, "-", 8), (1, "raw antisymmetric share", FAINT, "--", -8)):
        mean = curve(axes, degrees, found[row], ink, linestyle=style)
        axes.plot([0, 90], mean[[0, -1]], "o", color=ink, clip_on=False)
        say(axes, name, (degrees[9], mean[9]), ink, by=(by, -by))
    axes.set(xlabel="from preconditioned gradient descent (0°) to rotation (90°)", ylabel="share of the squared norm")
    ticks(axes, [0, 30, 60, 90], ["0°", "30°", "60°", "90°"])
    return figure, (
        f"Updates of six numbers at unequal rates, {seeds} seeds. Descent: gap {found[0, 0].max():.0e} at most, raw "
        f"share {told(found[1, 0])}; half way: {told(found[0, 9])} and {told(found[1, 9])}; rotation: "
        f"{found[0, -1].min():.2f} and {told(found[1, -1])}."
    )


def _closed_loop() -> Drawn:
    figure, (share, gain) = sheet(2, sharey=True)
    readers, words = ("its error", "noise", "nothing"), []
    for row, name in enumerate(readers):
        found = editor(name, 2 * SEEDS)
        share.plot([found.unrelated.mean], [row], "|", color="#9aa3ae", markersize=22, markeredgewidth=4)
        dot(share, row, found.share, AGENT)
        dot(gain, row, found.gain, AGENT)
        words.append(f"{name}: CL {told(found.share)}, unrelated {told(found.unrelated)}, gain {told(found.gain)}")
    share.set_yticks(range(3), [f"reads\n{name}" for name in readers], color=INK)
    share.set(xlabel="CL; grey: unrelated edits", xlim=(-0.04, 0.8), ylim=(2.5, -0.5))
    gain.axvline(0, color=FAINT, linewidth=0.8, zorder=1)
    gain.set(xlabel="gain, own − yoked (−error²)")
    return figure, (
        f"Three editors of eight numbers, {2 * SEEDS} seeds; the outcome is minus the mean squared error. One reads "
        f"{'; one reads '.join(words)}."
    )


def _summary() -> Drawn:
    figure, (course, pace) = sheet(2)
    grid, rng, words, met = np.linspace(0, 0.95, 200), np.random.default_rng(0), "", 0
    pace.plot(grid, [string(lam).spectral_radius for lam in grid], color=INK)
    for lam, again in product((0.2, 0.4, 0.6, 0.8, 0.9), range(20)):
        one, start = string(lam), torch.tensor(rng.uniform(12, 14, (SEEDS, 2)))
        curves = lengths(one, run(one.step, start, steps=420))[2, 20:].T  # the fast mode is gone after twenty steps
        curves = curves + 0.5 * rng.standard_normal(curves.shape)
        found = approach(curves)
        met += found.factor.low <= one.spectral_radius <= found.factor.high
        if again == 0:
            dot(pace, lam, found.factor, AGENT, upright=True)
        if again == 0 and lam == 0.8:
            left, steps, level = found.factor.mean ** np.arange(401), np.arange(20, 421), found.level.mean
            course.plot(steps, curves.T, color=AGENT, alpha=0.15, linewidth=0.6)
            course.plot(steps, np.polyval(np.polyfit(left, curves.mean(axis=0), 1), left), color=AGENT)
            course.axhline(level, color=INK, linestyle="--", linewidth=1)
            say(course, f"level {level:.2f}", (20, level), INK, by=(1, -9))
            say(course, f"τ = {found.tau.mean:.0f} steps", (150, 9.5), INK)
            words = (f"level {told(found.level)} (closed form 5), τ {told(found.tau, 1)} steps, exp(−1/τ) "
                     f"{told(found.factor, 4)} (ρ(J) = {one.spectral_radius:.4f})")  # fmt: skip
    say(pace, "ρ(J)", (0.5, string(0.5).spectral_radius), INK, by=(-6, 6))
    course.set(xlabel="reflective step", ylabel="|a − h| (|b| = 1)", ylim=(0, 15))
    pace.set(xlabel="reflectivity λ", ylabel="factor a step, exp(−1/τ)")
    return figure, (
        f"The agent on the string at λ = 0.8, {SEEDS} random starts, distances read with an error of sd 0.5: {words}. "
        f"Right: first of 20 repetitions; of all 100 intervals {met} contain ρ(J)."
    )


FIGURES = {draw.__name__.removeprefix("_"): draw for draw in (
    _oracle, _distance, _behaviour, _revealed, _string, _coupling, _merge_index, _graph, _cut, _integrability,
    _closed_loop, _summary)}  # fmt: skip


def main(names: list[str]) -> None:
    """Draw those named, or all."""
    OUT.mkdir(exist_ok=True)
    for name in names or FIGURES:
        with mpl.rc_context(SMALL):
            figure, caption = FIGURES[name]()
            figure.savefig(OUT / f"{name}.png")
        print(f"{name}: {caption}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
