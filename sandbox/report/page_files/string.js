// The string from H through P to A: a triangle whose sides are the three distances, moving over reflective steps.

const [HP, PA, HA] = DATA.distances;
const SIDE = 150; // pixels of the longest distance

/** The arms that have all three distances. */
function stretched() {
  return visible().filter((place) => [HP, PA, HA].every((name) => ARMS[place].courses[name]));
}

function string() {
  const place = document.getElementById("string");
  place.append(el("h2", { text: "The string from H through P to A" }));
  if (!ARMS.some((arm) => [HP, PA, HA].every((name) => arm.courses[name]))) {
    place.append(el("p", { class: "none", text: "No arm has the three distances. The meter distance takes them where the task knows H: " +
      "meter=[performance,distance,string], meter.distance.every=10 for more steps." }));
    return;
  }
  const steps = [...new Set(ARMS.flatMap((arm) => arm.courses[HP] ? arm.courses[HP][0] : []))].sort((a, b) => a - b);
  const slider = el("input", { type: "range", min: 0, max: steps.length - 1, value: steps.length - 1, step: 1, "aria-label": "reflective step" });
  const output = el("output", {});
  const grid = el("div", { class: "grid strings" });
  const draw = () => {
    const step = steps[Number(slider.value)];
    output.textContent = `step ${step}`;
    slider.setAttribute("aria-valuetext", `step ${step}`);
    const here = chosen().filter((arm) => stretched().includes(arm));
    const most = Math.max(...stretched().flatMap((arm) => [HP, PA, HA].flatMap((name) => ARMS[arm].courses[name][1].filter((x) => x !== null))), 1e-9);
    grid.replaceChildren(...here.map((arm) => el("div", { class: "string" }, armButton(arm), triangle(arm, step, most))));
    if (!here.length) grid.append(el("p", { class: "none", text: "No coloured arm has the three distances." }));
  };
  let playing = 0;
  const button = el("button", { type: "button", text: "▶ play", onclick: () => {
    const stop = () => { clearInterval(playing); playing = 0; button.textContent = "▶ play"; };
    if (playing) return stop();
    if (Number(slider.value) >= steps.length - 1) slider.value = 0;
    button.textContent = "■ stop";
    draw();
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      draw();
      if (Number(slider.value) >= steps.length - 1) stop();
    }, Math.max(60, 4000 / steps.length));
    return undefined;
  } });
  slider.addEventListener("input", draw);
  hold(grid, draw);
  place.append(frame("H, P and A as far apart as their distances say",
    "Means over seeds, all arms on one scale. H and A lie on the ground line; P stands where its two legs meet. The string H–P–A is straight " +
    "where P lies between them, slack where it does not. Faint: the way of P and A so far.", stringRows,
    el("div", { class: "controls" }, button, slider, output), grid));
}

function stringRows() {
  return stretched().flatMap((place) => ARMS[place].courses[HP][0].map((step, k) => {
    const [hp, pa, ha] = legs(place, k);
    return { arm: ARMS[place].name, n: ARMS[place].seeds.length, step, human_process: hp, process_agent: pa, human_agent: ha, slack: hp + pa - ha };
  }));
}

/** The three distances at the k-th step of an arm's first; each is taken at the same steps. */
function legs(place, k) {
  const step = ARMS[place].courses[HP][0][k];
  return [HP, PA, HA].map((name) => {
    const [steps, means] = ARMS[place].courses[name];
    return means[steps.indexOf(step)] ?? null;
  });
}

/** Where P and A stand, H at 0: [Px, Py, Ax]; null where a distance is missing. Means of distances keep the triangle's
 * inequality; what rounding breaks of it lies flat. */
function placed(place, k) {
  const [hp, pa, ha] = legs(place, k);
  if (hp === null || pa === null || ha === null) return null;
  if (ha < 1e-9) return [0, hp, 0];
  const x = (hp * hp + ha * ha - pa * pa) / (2 * ha);
  return [x, Math.sqrt(Math.max(0, hp * hp - x * x)), ha];
}

function triangle(place, step, most) {
  const steps = ARMS[place].courses[HP][0];
  const k = steps.findLastIndex((at) => at <= step);
  const made = svg("svg", { viewBox: `${-SIDE * 0.6} -20 ${SIDE * 2.2} ${SIDE + 62}`, role: "img", "aria-label": `The string of ${ARMS[place].name} at step ${step}` });
  const ways = steps.slice(0, k + 1).map((_, one) => placed(place, one)).filter(Boolean);
  const here = k < 0 ? null : placed(place, k);
  if (!here) {
    made.append(svg("text", { x: 0, y: 60, text: "not read at this step" }));
    return made;
  }
  const ground = SIDE;
  const at = (x, y) => [x / most * SIDE, ground - y / most * SIDE];
  const line = (points, attributes) => svg("polyline", { points: points.map((point) => point.join(",")).join(" "), fill: "none", ...attributes });
  const ink = coloured().has(place) ? `var(${INKS[coloured().get(place)]})` : "var(--faint)";
  const [h, p, a] = [at(0, 0), at(here[0], here[1]), at(here[2], 0)];
  made.append(
    svg("line", { class: "ground", x1: -SIDE * 0.3, x2: SIDE * 1.3, y1: ground, y2: ground }),
    line(ways.map(([x, y]) => at(x, y)), { stroke: ink, opacity: 0.35 }),
    line(ways.map(([, , x]) => at(x, 0)), { stroke: ink, opacity: 0.35, "stroke-width": 4 }),
    svg("line", { x1: h[0], y1: h[1], x2: a[0], y2: a[1], stroke: "var(--faint)", "stroke-dasharray": "4 3" }),
    line([h, p, a], { stroke: ink, "stroke-width": 2.5, "stroke-linejoin": "round" }),
  );
  [["H", h, 16], ["P", p, -9], ["A", a, 16]].forEach(([name, [x, y], off]) => made.append(
    svg("circle", { cx: x, cy: y, r: 4.5, fill: name === "H" ? "var(--ink)" : name === "P" ? "var(--back)" : ink, stroke: ink, "stroke-width": 2 }),
    svg("text", { class: "letter", x: x + (name === "A" ? 4 : name === "H" ? -4 : 0), y: y + off, "text-anchor": "middle", text: name })));
  const [hp, pa, ha] = legs(place, k);
  made.append(svg("text", { class: "legs", x: SIDE * 0.5, y: SIDE + 38, "text-anchor": "middle", text: `HP ${text(hp)} · PA ${text(pa)} · HA ${text(ha)} · slack ${text(hp + pa - ha)}` }));
  return made;
}
