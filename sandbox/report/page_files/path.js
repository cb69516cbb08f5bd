// Outer against inner: one reading over another, each arm a path from its first step to its last.

const chosenAxes = { x: null, y: null };

function path() {
  const place = document.getElementById("path");
  const there = DATA.readings.filter((one) => ARMS.some((arm) => arm.courses[one.name]));
  const name = (...names) => names.find((one) => there.some((reading) => reading.name === one)) || there[0]?.name;
  place.append(el("h2", { text: "Outer against inner objective" }));
  if (there.length < 2) return place.append(el("p", { class: "none", text: "meter=[performance] reads P and H beside A." }));
  chosenAxes.x = name("own", "performance/own");
  chosenAxes.y = name("performance/process", "performance/human", "performance/own");
  const box = el("div", { class: "plot" });
  const select = (axis, label) => el("label", {}, `${label} `, el("select", {
    onchange: (event) => { chosenAxes[axis] = event.target.value; drawPath(box); },
  }, ...there.map((reading) => el("option", { value: reading.name, selected: reading.name === chosenAxes[axis], text: reading.title }))));
  hold(box, () => drawPath(box));
  hoverers.push(() => { if (held.get(box).seen) drawPath(box); });
  return place.append(frame("A path over reflective steps", "Means over seeds, at the steps where both were read. Ring: the first; dot: the last.",
    () => visible().flatMap((arm) => steps(arm).map(([step, x, y]) => ({ arm: ARMS[arm].name, step, [chosenAxes.x]: x, [chosenAxes.y]: y }))),
    el("div", { class: "controls" }, select("y", "outer, up:"), select("x", "inner, across:")), box));
}

/** [[step, x, y], …] of an arm, where both readings were taken. */
function steps(place) {
  const [first, second] = [chosenAxes.x, chosenAxes.y].map((name) => ARMS[place].courses[name]);
  if (!first || !second) return [];
  const at = new Map(second[0].map((step, k) => [step, second[1][k]]));
  return first[0].map((step, k) => [step, first[1][k], at.get(step)]).filter(([, x, y]) => x !== null && y !== null && y !== undefined);
}

function drawPath(box) {
  const ways = visible().map((place) => [place, steps(place)]).filter(([, way]) => way.length);
  if (!ways.length) return box.replaceChildren(el("p", { class: "none", text: "No arm that is shown has both readings at one step." }));
  const size = { width: Math.max(280, box.clientWidth), height: 380, left: 58, bottom: 40, top: 22, right: 130 };
  const span = (k) => {
    const inks = ways.filter(([place]) => coloured().has(place)).flatMap(([, way]) => way.map((row) => row[k]));
    return reach([...inks, ...mostly(ways.flatMap(([, way]) => way.map((row) => row[k])))]);
  };
  const [xs, ys] = [span(1), span(2)];
  const x = scale(xs, [size.left, size.width - size.right]);
  const y = scale(ys, [size.height - size.bottom, size.top]);
  const inside = ([, a, b]) => a >= xs[0] && a <= xs[1] && b >= ys[0] && b <= ys[1];
  const made = svg("svg", { width: size.width, height: size.height, role: "img", "aria-label": "A path an arm" },
    axes(size, x, y, xs, ys, [READINGS.get(chosenAxes.x).title, READINGS.get(chosenAxes.y).title]));
  const order = ways.sort((a, b) => Number(coloured().has(a[0])) - Number(coloured().has(b[0])));
  const ends = [];
  for (const [place, way] of order) {
    const ink = coloured().has(place) ? `var(${INKS[coloured().get(place)]})` : "var(--grey)";
    const on = coloured().has(place) || state.hover === place;
    const points = way.filter(inside);
    if (!points.length) continue;
    made.append(svg("polyline", { points: points.map(([, a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), fill: "none",
      stroke: state.hover === place && !coloured().has(place) ? "var(--ink)" : ink, "stroke-width": state.hover === place ? 3 : on ? 2 : 1,
      class: "hit", onmousemove: (event) => { hover(place); tip(event, ARMS[place].name); },
      onmouseleave: (event) => { hover(null); tip(event, ""); }, onclick: () => toggle(place) }));
    if (!on) continue;
    const [first, last] = [points[0], points.at(-1)];
    made.append(svg("circle", { cx: x(first[1]), cy: y(first[2]), r: 4, fill: "var(--back)", stroke: ink, "stroke-width": 2 }),
      svg("circle", { cx: x(last[1]), cy: y(last[2]), r: 4.5, fill: ink }));
    ends.push({ place, x: x(last[1]), from: y(last[2]) });
  }
  apart(ends, 14, size.top, size.height - size.bottom);
  for (const end of ends) {
    made.append(svg("line", { class: "lead", x1: end.x + 6, y1: end.from, x2: size.width - size.right + 8, y2: end.y }),
      svg("text", { x: size.width - size.right + 12, y: end.y + 4, text: brief(short(ARMS[end.place].name), 17) }, svg("title", { text: ARMS[end.place].name })));
  }
  return box.replaceChildren(made);
}
