// Parallel coordinates: what was set on the left, what was read at the end on the right, a line an arm.

const MOST_SETTINGS = 6;
const MOST_READINGS = 6;

/** The axes: {title, of(arm), words: names in place of numbers, or null}. */
function coordinates() {
  const settings = DATA.settings.map((key) => ({ title: keyed(key), of: (arm) => arm.settings[key] })).slice(0, MOST_SETTINGS);
  const questions = DATA.asked.filter((question) => Object.keys(question.answers).length).map((question) => ({
    title: question.number, of: (arm, place) => question.answers[place]?.[0] }));
  const own = READINGS.has("own") ? [{ title: "A", of: (arm) => arm.finals.own?.[0] }] : [];
  return [...settings, ...[...questions, ...own].slice(0, MOST_READINGS)].map((axis) => {
    const values = ARMS.map((arm, place) => axis.of(arm, place)).filter((value) => value !== null && value !== undefined);
    const numeric = values.every((value) => typeof value === "number");
    const words = numeric ? null : [...new Set(values.map(String))].sort();
    const log = numeric && values.length > 1 && Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 50;
    const ends = numeric ? reach(log ? values.map(Math.log10) : mostly(values), 0.02) : [-0.5, words.length - 0.5];
    return { ...axis, words, log, ends, there: values.length > 0 };
  }).filter((axis) => axis.there);
}

function parallel() {
  const place = document.getElementById("parallel");
  place.append(el("h2", { text: "From settings to readings" }));
  const found = coordinates();
  if (ARMS.length < 2 || found.length < 2) return place.append(el("p", { class: "none", text: "Fewer than two arms: nothing is set against another." }));
  const box = el("div", { class: "plot scroll" });
  hold(box, () => drawParallel(box, found));
  hoverers.push(() => { if (held.get(box).seen) drawParallel(box, found); });
  const more = DATA.settings.length > MOST_SETTINGS ? ` ${MOST_SETTINGS} of ${DATA.settings.length} settings; the data have all that differ.` : "";
  return place.append(frame("A line an arm", `Settings that differ on the left, last readings (means over seeds) on the right.${more}`, () =>
    visible().map((arm) => ({ arm: ARMS[arm].name, ...ARMS[arm].settings, ...Object.fromEntries(found.slice(DATA.settings.slice(0, MOST_SETTINGS).length).map((axis) => [axis.title, axis.of(ARMS[arm], arm) ?? null])) })), box));
}

function drawParallel(box, found) {
  const gap = Math.max(110, Math.min(220, (box.clientWidth - 190) / Math.max(1, found.length - 1)));
  const [left, top, height, foot] = [90, 34, 260, 16];
  const width = left + gap * (found.length - 1) + 100;
  const made = svg("svg", { width, height: top + height + foot, role: "img", "aria-label": "Parallel coordinates" });
  const ys = found.map((axis) => scale(axis.ends, [top + height, top]));
  const at = (axis, k, place) => {
    const value = axis.of(ARMS[place], place);
    if (value === null || value === undefined) return null;
    const y = ys[k](axis.words ? axis.words.indexOf(String(value)) : axis.log ? Math.log10(value) : value);
    return [left + k * gap, Math.max(top - 4, Math.min(top + height + 4, y))];
  };
  const rank = (place) => (place === state.hover ? 2 : coloured().has(place) ? 1 : 0);
  for (const place of [...visible()].sort((a, b) => rank(a) - rank(b))) {
    const points = found.map((axis, k) => at(axis, k, place));
    const line = points.map((point, k) => point && `${k && points[k - 1] ? "L" : "M"}${point[0]},${point[1].toFixed(1)}`).filter(Boolean).join("");
    const ink = coloured().has(place) ? `var(${INKS[coloured().get(place)]})` : place === state.hover ? "var(--ink)" : "var(--grey)";
    made.append(svg("path", { d: line, fill: "none", stroke: ink, "stroke-width": [1, 2, 3.5][rank(place)], class: "hit", onclick: () => toggle(place),
      onmousemove: (event) => { hover(place); tip(event, ARMS[place].name); }, onmouseleave: (event) => { hover(null); tip(event, ""); } }));
  }
  found.forEach((axis, k) => made.append(coordinate(axis, left + k * gap, ys[k], top, height, k)));
  box.replaceChildren(made);
}

function coordinate(axis, x, y, top, height, k) {
  const made = svg("g", { class: "axes" }, svg("line", { class: "axis", x1: x, x2: x, y1: top, y2: top + height }),
    svg("text", { class: "name", x, y: k % 2 ? top - 22 : top - 10, "text-anchor": "middle", text: brief(axis.title, 30) }, svg("title", { text: axis.title })));
  const marks = axis.words ? axis.words.map((word, n) => [n, brief(word, 14)]) : ticks(...axis.ends, 4).map((at) => [at, mark(axis.log ? Number((10 ** at).toPrecision(2)) : at)]);
  const every = Math.ceil(marks.length / 16);
  for (const [at, word] of marks.filter((_, n) => n % every === 0)) made.append(svg("text", { x: x - 5, y: y(at) + 4, "text-anchor": "end", text: word }));
  return made;
}
