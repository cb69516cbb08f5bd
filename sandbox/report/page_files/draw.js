// Elements, numbers as text, ticks, and a chart of one's own in SVG.

/** An element with attributes (`on…`: what happens, `text`: its words) and children. Words are only ever set as text. */
function el(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function dress(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") made.textContent = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A number in three or four digits; – where there is none. */
function text(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (typeof x !== "number") return Array.isArray(x) ? `[${x.map(text).join(", ")}]` : String(x);
  if (x === 0 || Number.isInteger(x) && Math.abs(x) < 1e6) return String(x).replace("-", "−");
  const size = Math.abs(x);
  const told = size >= 1e5 || size < 1e-3 ? x.toExponential(2) : x.toPrecision(size >= 1000 ? 5 : 3);
  return told.replace("-", "−");
}

/** A number at an axis, as short as it can be. */
function mark(x) {
  const size = Math.abs(x);
  return (x === 0 || size >= 1e-4 && size < 1e6 ? String(Number(x.toPrecision(6))) : x.toExponential().replace("e+", "e")).replace("-", "−");
}

/** `mean [low, high]`; the mean alone where there is no interval. `sign`: with a plus sign. */
function told([mean, low, high], sign = false) {
  const head = sign && mean > 0 ? `+${text(mean)}` : text(mean);
  return low === null || low === undefined ? head : `${head} [${text(low)}, ${text(high)}]`;
}

/** At most `most` round numbers between two ends. */
function ticks(low, high, most = 5) {
  const raw = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((k) => k >= raw) || raw;
  const found = [];
  for (let x = Math.ceil(low / step) * step; x <= high + step * 1e-9; x += step) found.push(Math.abs(x) < step / 1e6 ? 0 : x);
  return found;
}

/** The least and the largest of finite numbers, with some room around them. */
function reach(values, room = 0.06) {
  let low = Infinity;
  let high = -Infinity;
  for (const x of values) if (x !== null && x !== undefined && Number.isFinite(x)) { low = Math.min(low, x); high = Math.max(high, x); }
  if (low > high) return [0, 1];
  const pad = (high - low) * room || Math.abs(high) * 0.1 || 0.5;
  return [low - pad, high + pad];
}

/** What all but a few of these numbers reach, so that one that diverged does not flatten the others. */
function mostly(values) {
  const sorted = values.filter((x) => x !== null && Number.isFinite(x)).sort((a, b) => a - b);
  if (sorted.length < 20) return sorted;
  const low = sorted[Math.floor(sorted.length * 0.02)];
  const high = sorted[Math.ceil(sorted.length * 0.98) - 1];
  const wide = 3 * (high - low);
  return sorted.filter((x) => x >= low - wide && x <= high + wide);
}

/** Ticks and names of two axes, as SVG. `x`, `y`: from a number to its place. */
function axes({ width, height, left, bottom, top = 10, right = 10 }, x, y, xs, ys, names) {
  const made = svg("g", { class: "axes" });
  for (const at of ticks(...xs)) {
    made.append(svg("line", { x1: x(at), x2: x(at), y1: top, y2: height - bottom }),
      svg("text", { x: x(at), y: height - bottom + 15, "text-anchor": "middle", text: mark(at) }));
  }
  for (const at of ticks(...ys)) {
    made.append(svg("line", { x1: left, x2: width - right, y1: y(at), y2: y(at) }),
      svg("text", { x: left - 6, y: y(at) + 4, "text-anchor": "end", text: mark(at) }));
  }
  made.append(svg("text", { class: "name", x: width - right, y: height - 4, "text-anchor": "end", text: names[0] }),
    svg("text", { class: "name", x: left, y: top - 8, text: names[1] }));
  return made;
}

/** From numbers between two ends to places between two others. */
function scale([low, high], [from, to]) {
  return (value) => from + (to - from) * (value - low) / (high - low || 1);
}

/** A button that is an arm: its colour and its name; a click gives it a colour or takes it. */
function armButton(place, most = 44) {
  return el("button", {
    class: "arm", type: "button", title: ARMS[place].name, "aria-pressed": String(coloured().has(place)),
    onclick: () => toggle(place), onmouseenter: () => hover(place), onmouseleave: () => hover(null),
    onfocus: () => hover(place), onblur: () => hover(null),
  }, el("i", { style: `background:${coloured().has(place) ? `var(${INKS[coloured().get(place)]})` : "transparent"}` }),
  el("span", { text: brief(short(ARMS[place].name), most) }));
}

/** A setting's key, as short as it says what it is: `meta_learner` of `meta_learner._target_`. */
function keyed(key) {
  return key.replace(/\._target_$/, "").split(".").slice(-2).join(".");
}

/** A name with each setting's key as short as it stands for one: `lr=0.1` of `rule.lr=0.1`. */
function short(name) {
  return name.replace(/(^| )([\w.]+)\.(\w+)=/g, (all, gap, head, last) =>
    DATA.settings.filter((key) => key.split(".").at(-1) === last).length === 1 ? `${gap}${last}=` : all);
}

/** A name of so many letters at most: its middle is left out, since names differ at their ends. */
function brief(name, most) {
  const letters = [...name];
  if (letters.length <= most) return name;
  const headed = Math.ceil(most / 3);
  return `${letters.slice(0, headed).join("")}…${letters.slice(letters.length - (most - 1 - headed)).join("")}`;
}

/** Words beside the pointer. */
function tip(event, words) {
  const box = document.getElementById("tip");
  box.hidden = !words;
  if (!words) return;
  box.textContent = words;
  const { clientX, clientY } = event;
  box.style.left = `${Math.min(clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${Math.min(clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
}
