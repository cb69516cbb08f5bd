// The tree of edits: a trunk a seed, growing with the steps; what was not accepted is a twig that ends.

const TRUNKS = 12; // seeds that are drawn
const GAP = 26; // pixels from one trunk to the next

function tree(rows, place, width) {
  const seeds = [...new Set(rows.map((row) => row.seed))].sort((a, b) => a - b);
  const drawn = seeds.slice(0, TRUNKS);
  const height = drawn.length * GAP + 34;
  const xs = reach(rows.map((row) => row.step), 0.01);
  const x = scale(xs, [70, width - 10]);
  const made = svg("svg", { width, height, class: "tree", role: "img", "aria-label": `Edits of ${ARMS[place].name} over steps` });
  for (const at of ticks(...xs, 10).filter((at) => at >= 0)) {
    made.append(svg("line", { class: "tick", x1: x(at), x2: x(at), y1: 4, y2: height - 22 }), svg("text", { x: x(at), y: height - 8, "text-anchor": "middle", text: mark(at) }));
  }
  const ink = coloured().has(place) ? `var(${INKS[coloured().get(place)]})` : "var(--ink)";
  drawn.forEach((seed, row) => made.append(trunk(rows.filter((one) => one.seed === seed), seed, 14 + row * GAP, x, xs, ink)));
  const over = seeds.length > TRUNKS ? el("p", { class: "note", text: `The first ${TRUNKS} of ${seeds.length} seeds; the table has all.` }) : null;
  return el("div", { class: "scroll" }, made, over);
}

function trunk(rows, seed, y, x, xs, ink) {
  const made = svg("g", {}, svg("text", { x: 62, y: y + 4, "text-anchor": "end", text: `seed ${seed}` }));
  const steps = new Map();
  for (const row of rows) {
    if (!steps.has(row.step) || row.verdict !== "accepted") steps.set(row.step, row);
  }
  made.append(svg("line", { x1: x(xs[0]), x2: x(xs[1]), y1: y, y2: y, stroke: ink, "stroke-width": 1.5, opacity: 0.6 }));
  const tight = steps.size > 160;
  for (const [step, row] of steps) {
    const words = `step ${step}, ${row.path}: ${row.before === null ? "start" : text(row.before)} → ${text(row.asked)}\n${row.verdict}${row.why ? `: ${row.why}` : ""}`;
    const told = { onmousemove: (event) => tip(event, words), onmouseleave: (event) => tip(event, "") };
    if (row.verdict === "accepted") made.append(svg("circle", { cx: x(step), cy: y, r: tight ? 2 : 3.5, fill: ink, ...told }));
    else made.append(twig(x(step), y, row.verdict, tight, told));
  }
  return made;
}

function twig(x, y, verdict, tight, told) {
  const [dx, dy, r] = tight ? [2, 7, 2] : [4, 10, 3];
  const end = verdict === "rejected"
    ? svg("path", { d: `M${x + dx - r},${y + dy - r}l${2 * r},${2 * r}m0,${-2 * r}l${-2 * r},${2 * r}`, class: "twig" })
    : svg("rect", { x: x + dx - r, y: y + dy - r, width: 2 * r, height: 2 * r, class: `twig ${verdict === "refused" ? "full" : ""}` });
  return svg("g", told, svg("path", { d: `M${x},${y}L${x + dx},${y + dy}`, class: "twig" }), end, svg("rect", { x: x - 3, y, width: 10, height: 14, opacity: 0 }));
}
