// What is shown: the arms that pass the filter, and which of them have a colour. The address keeps it, so that a page
// that loads itself again, or is handed on, looks the same.

const DATA = JSON.parse(document.getElementById("data").textContent);
const ARMS = DATA.arms;
const READINGS = new Map(DATA.readings.map((reading) => [reading.name, reading]));
const INKS = ["--c0", "--c1", "--c2", "--c3", "--c4", "--c5"];

const state = {
  words: "", // of the filter; each must occur in an arm's name or settings
  settings: {}, // {key: the one value that is shown, as text}
  slots: DATA.first.slice(0, DATA.lines), // places of arms by colour; null where a colour is free
  asked: false, // whether the user has chosen colours
  hover: null, // the place of the arm under the pointer
};
while (state.slots.length < DATA.lines) state.slots.push(null);

const watchers = []; // called when the filter or the colours change
const hoverers = []; // called when another arm is under the pointer
let shown = null; // places of the arms that pass the filter, until it changes
let inked = null; // {place: colour's number} of those that have a colour

const haystack = ARMS.map((arm) =>
  [arm.name, ...Object.entries(arm.settings).map(([key, value]) => `${key}=${value}`)].join(" ").toLowerCase());

/** The places of the arms that pass the filter, in their order. */
function visible() {
  if (shown) return shown;
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  const settings = Object.entries(state.settings);
  shown = ARMS.map((_, place) => place).filter((place) =>
    words.every((word) => haystack[place].includes(word)) &&
    settings.every(([key, value]) => String(ARMS[place].settings[key]) === value));
  return shown;
}

/** {place: number of its colour} of at most six visible arms; where no more than six are visible, of all of them. */
function coloured() {
  if (inked) return inked;
  const here = new Set(visible());
  inked = new Map();
  state.slots.forEach((place, slot) => { if (place !== null && here.has(place)) inked.set(place, slot); });
  if (here.size <= DATA.lines && !state.asked || inked.size === 0) {
    const used = new Set(inked.values());
    const free = INKS.map((_, slot) => slot).filter((slot) => !used.has(slot));
    for (const place of here) if (!inked.has(place) && free.length) inked.set(place, free.shift());
  }
  return inked;
}

/** The coloured arms in the order of their colours. */
function chosen() {
  return [...coloured().entries()].sort((a, b) => a[1] - b[1]).map(([place]) => place);
}

function inkOf(place) {
  return coloured().has(place) ? css(INKS[coloured().get(place)]) : css("--grey");
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Give an arm a colour, or take it; where all six are taken, the one that has had its colour longest gives it up. */
function toggle(place) {
  const held = coloured();
  state.slots = INKS.map((_, slot) => [...held.entries()].find(([, other]) => other === slot)?.[0] ?? null);
  state.asked = true;
  const slot = state.slots.indexOf(place);
  if (slot >= 0) {
    state.slots[slot] = null;
  } else {
    const free = state.slots.indexOf(null);
    const at = free >= 0 ? free : toggle.next++ % DATA.lines;
    state.slots[at] = place;
  }
  changed();
}
toggle.next = 0;

/** Back to the colours that the page began with, and no filter. */
function reset() {
  Object.assign(state, { words: "", settings: {}, slots: DATA.first.slice(0, DATA.lines), asked: false });
  while (state.slots.length < DATA.lines) state.slots.push(null);
  changed();
}

let waiting = 0;
function changed() {
  shown = inked = null;
  keep();
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => watchers.forEach((watcher) => watcher()));
}

function hover(place) {
  if (state.hover === place) return;
  state.hover = place;
  hoverers.forEach((watcher) => watcher());
}

/** Write the filter and the colours into the address. */
function keep() {
  const words = new URLSearchParams();
  if (state.words) words.set("words", state.words);
  for (const [key, value] of Object.entries(state.settings)) words.set(`set.${key}`, value);
  if (state.asked) state.slots.forEach((place, slot) => { if (place !== null) words.set(`ink.${slot}`, ARMS[place].name); });
  history.replaceState(null, "", `#${words}`);
}

/** Take the filter and the colours from the address. Arms are known there by name: their places may have moved. */
function recall() {
  const words = new URLSearchParams(location.hash.slice(1));
  state.words = words.get("words") || "";
  for (const [key, value] of words) {
    if (key.startsWith("set.") && DATA.settings.includes(key.slice(4))) state.settings[key.slice(4)] = value;
    if (key.startsWith("ink.") && !state.asked) { state.asked = true; state.slots.fill(null); }
    const place = key.startsWith("ink.") ? ARMS.findIndex((arm) => arm.name === value) : -1;
    if (place >= 0 && Number(key.slice(4)) in INKS) state.slots[Number(key.slice(4))] = place;
  }
}
