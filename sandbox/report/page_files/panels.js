// Readings over reflective steps: a panel each, at most six arms in colour, the others grey below them.

const GROUPS = [
  ["Objectives", ["", "performance", "evaluation"]],
  ["Merge, beside its null", ["merge", "teacher", "separability"]],
  ["Gaps", ["gap"]],
  ["Distances, string and alignment", ["distance", "string", "alignment"]],
  ["The rule, as edited", ["rule"]],
  ["Edits so far", ["edits"]],
];
const TALL = 210;
const OPEN = 12; // panels of a group that is open at first

/** The readings that some arm has, in groups; a null is told in its reading's panel. */
function grouped() {
  const there = DATA.readings.filter((one) => !one.is_null && ARMS.some((arm) => arm.courses[one.name]));
  const groupOf = (one) => one.name.startsWith("edits/") ? "edits" : one.group;
  const found = GROUPS.map(([title, groups]) => [title, there.filter((one) => groups.includes(groupOf(one)))]);
  const rest = there.filter((one) => !GROUPS.some(([, groups]) => groups.includes(groupOf(one))));
  for (const one of rest) {
    const group = found.find(([title]) => title === groupOf(one));
    if (group) group[1].push(one); else found.push([groupOf(one), [one]]);
  }
  return found.filter(([, readings]) => readings.length);
}

function panels() {
  const place = document.getElementById("panels");
  const groups = grouped();
  place.append(el("h2", { text: "Over reflective steps" }), el("p", { class: "note", text:
    `Mean over seeds; shaded: its 95 % interval; dashed: the null. Arrows point to the better side. At most ${DATA.lines} arms have a ` +
    "colour; point at a grey line for its name, click to give it one. Drag to zoom, double-click to zoom out." +
    (DATA.thinned.length ? ` ${DATA.thinned.length} readings have more points than are drawn: at most ${DATA.points} a line, evenly over its steps.` : "") }));
  if (!groups.length) place.append(el("p", { text: "No arm has a reading yet." }));
  groups.forEach(([title, readings], k) => {
    const few = [GROUPS[0][0], GROUPS[1][0]].includes(title); // of these the headlines first
    const heads = readings.filter((one) => one.headline || !few);
    const rest = readings.filter((one) => !heads.includes(one));
    if (heads.length) place.append(panelGroup(title, heads, k < 6 && heads.length <= OPEN));
    if (rest.length) place.append(panelGroup(`${title}: other readings`, rest, false));
  });
}

function panelGroup(group, readings, open) {
  const title = group.charAt(0).toUpperCase() + group.slice(1);
  return el("details", { open, class: "group" }, el("summary", {}, el("span", { text: title }), ` (${readings.length})`),
    el("div", { class: "grid" }, ...readings.map(panel)));
}

function panel(reading) {
  const box = el("div", { class: "plot" });
  const arrow = { higher: " ↑", lower: " ↓" }[reading.better] || "";
  const note = [reading.unit, reading.null ? "dashed: its null" : ""].filter(Boolean).join("; ");
  let plot = null;
  hold(box, () => {
    if (plot) plot.destroy();
    box.replaceChildren();
    plot = drawPanel(box, reading);
  });
  hoverers.push(() => { if (plot && held.get(box).seen) plot.redraw(false); });
  return frame(reading.title + arrow, note, () => panelRows(reading), box);
}

function panelRows(reading) {
  const rows = [];
  for (const place of visible()) {
    const [steps, means, lows, highs] = ARMS[place].courses[reading.name] || [[]];
    steps.forEach((step, k) => rows.push({ arm: ARMS[place].name, n: ARMS[place].seeds.length, step, reading: reading.name,
      mean: means[k], low: lows ? lows[k] : null, high: highs ? highs[k] : null }));
  }
  return rows;
}

/** What the panel's height covers: the coloured means, most of the grey ones, and intervals that are not far beyond. */
function covered(reading) {
  const inks = [];
  const ends = [];
  const others = [];
  for (const place of visible()) {
    for (const name of [reading.name, reading.null]) {
      const course = ARMS[place].courses[name];
      if (!course) continue;
      if (!coloured().has(place)) { others.push(...course[1]); continue; }
      inks.push(...course[1]);
      ends.push(...(course[2] || []), ...(course[3] || []));
    }
  }
  const [low, high] = reach([...inks, ...mostly(others)], 0);
  const far = high - low || Math.abs(high) || 1;
  return reach([low, high, ...ends.filter((x) => x !== null && x >= low - far && x <= high + far)]);
}

function none() {
  return { spanGaps: true, width: 0, points: { show: false } };
}

function drawPanel(box, reading) {
  const name = reading.name;
  const tables = [];
  const series = [{}];
  const bands = [];
  for (const place of chosen()) {
    const course = ARMS[place].courses[name];
    const nulls = reading.null ? ARMS[place].courses[reading.null] : null;
    const ink = inkOf(place);
    const wide = { stroke: ink, width: 2, spanGaps: true, points: { show: false } };
    if (course) {
      tables.push(course);
      series.push({ ...wide, label: ARMS[place].name });
      if (course.length > 2) {
        series.push(none(), none());
        bands.push({ series: [series.length - 1, series.length - 2], fill: `${ink}2e` });
      }
    }
    if (nulls) {
      tables.push(nulls.slice(0, 2));
      series.push({ ...wide, width: 1.3, dash: [5, 4] });
    }
  }
  const spans = visible().map((place) => ARMS[place].courses[name]).filter(Boolean);
  if (!spans.length) {
    box.append(el("p", { class: "none", text: "No arm that is shown has this reading." }));
    return null;
  }
  const [first, last] = [Math.min(...spans.map(([steps]) => steps[0])), Math.max(...spans.map(([steps]) => steps.at(-1)))];
  tables.push([[first, last], [null, null]]); // the steps that only grey lines reach
  series.push(none());
  const [low, high] = covered(reading);
  const lowest = Math.min(...spans.flatMap(([, means]) => means.filter((mean) => mean !== null)));
  const log = name === "own" && lowest > 0 && high / lowest > 30;
  const axis = { stroke: css("--faint"), font: `11px ${css("--font")}`, grid: { stroke: css("--line"), width: 1 }, ticks: { show: false } };
  return new uPlot({
    width: box.clientWidth, height: TALL, padding: [10, ROOM, 0, 0], legend: { show: false },
    scales: {
      x: { time: false, range: (_, from, to) => from === to ? [from - 1, to + 1] : [from, to] },
      y: log ? { distr: 3, range: [lowest * 0.8, high] } : { range: [low, high] },
    },
    axes: [{ ...axis, size: 26, space: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6] },
      { ...axis, size: 52, space: 34, values: (_, marks) => marks.map((at) => at === null ? "" : mark(at)) }],
    cursor: { sync: { key: "steps" }, points: { show: false }, y: false, drag: { x: true, y: false } },
    series, bands,
    hooks: {
      drawAxes: [(u) => greys(u, name)],
      draw: [(u) => above(u, name), (u) => ends(u, name)],
      ready: [(u) => point(u, reading)],
    },
  }, uPlot.join(tables), box);
}

/** Tell of the line under the pointer, and colour it where it is clicked. */
function point(u, reading) {
  const look = (event) => {
    const found = nearest(u, reading.name);
    hover(found ? found.place : null);
    if (!found) return tip(event, "");
    const [steps, ...values] = ARMS[found.place].courses[reading.name];
    const here = values.map((column) => column[found.k]);
    const n = ARMS[found.place].seeds.length;
    return tip(event, `${ARMS[found.place].name}\nstep ${steps[found.k]}: ${told(here)}, n = ${n}`);
  };
  let down = 0;
  u.over.addEventListener("mousemove", look);
  u.over.addEventListener("mouseleave", (event) => { hover(null); tip(event, ""); });
  u.over.addEventListener("mousedown", (event) => { down = event.clientX; });
  u.over.addEventListener("click", (event) => {
    const found = nearest(u, reading.name);
    if (found && Math.abs(event.clientX - down) < 4) toggle(found.place);
  });
}
