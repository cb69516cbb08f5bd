// At a glance: each question with its arms ranked, and the claims of the study with what became of them.

const TOP = 8; // arms of a ranking that are told at first
const SHORT = 24; // letters of a name that stands in one line with its number

function head() {
  const place = document.getElementById("head");
  const states = new Map();
  for (const run of DATA.runs) states.set(run.state, (states.get(run.state) || 0) + 1);
  const n = [...new Set(ARMS.map((arm) => arm.seeds.length))].sort((a, b) => a - b);
  const seeds = n.length ? ` of ${n.length > 1 ? `${n[0]} to ${n.at(-1)}` : n[0]} seed${n.at(-1) > 1 ? "s" : ""}` : "";
  const counts = [`${ARMS.length} arm${ARMS.length === 1 ? "" : "s"}${seeds}`, `${DATA.runs.length} run${DATA.runs.length === 1 ? "" : "s"}`, ...[...states].map(([name, n]) => `${n} ${name}`),
    ...(DATA.failures.length ? [`${DATA.failures.length} jobs without a run`] : [])];
  place.append(el("p", { class: "what", text: counts.join(" · ") }), el("h1", { text: DATA.title }));
  if (DATA.question) place.append(el("p", { class: "question", text: DATA.question }));
  place.append(el("p", { class: "sentence", text: DATA.sentence.split("; ").map(short).join("; ") }));
  const words = [...DATA.failures.map((one) => `${[one.label, ...one.apart, one.run && `(${one.run})`].filter(Boolean).join(" ")}: ${one.error}`)];
  if (words.length) place.append(listed("Jobs that left no run", words, true));
  if (DATA.notes.length) place.append(listed("What stands in the way of taking the figures at face value", DATA.notes, DATA.notes.length < 4));
}

function listed(title, words, open) {
  const most = 100;
  const rest = words.length > most ? [el("li", { text: `and ${words.length - most} more` })] : [];
  return el("details", { open, class: "told" }, el("summary", { text: `${title} (${words.length})` }),
    el("ul", {}, ...words.slice(0, most).map((word) => el("li", { text: word })), ...rest));
}

function glance() {
  const place = document.getElementById("glance");
  const grid = el("div", { class: "cards" });
  place.append(el("h2", { text: "At a glance" }), el("p", { class: "note", text:
    "The last reading: mean over seeds and 95 % interval. Each interval stands by itself: of many arms, one in twenty differs from nothing by chance." }), grid);
  const draw = () => grid.replaceChildren(...DATA.asked.map(card));
  watchers.push(draw);
  draw();
}

function card(question) {
  const here = new Set(visible());
  const ranked = question.ranked.filter((place) => here.has(place));
  const rows = () => ranked.map((place) => {
    const [mean, low, high, n] = question.answers[place];
    return { arm: ARMS[place].name, mean, low, high, n, outcome: outcome(question, question.answers[place]) };
  });
  const long = Boolean(question.above) || ranked.some((place) => short(ARMS[place].name).length > SHORT); // a verdict takes room
  const list = el("ol", { class: long ? "rank long" : "rank" });
  const [from, to] = reach(mostly(ranked.slice(0, 40).flatMap((place) => question.answers[place].slice(0, 3))), 0.04);
  const ends = question.above ? [Math.min(from, 0), Math.max(to, 0)] : [from, to];
  const fill = (most) => list.replaceChildren(...ranked.slice(0, most).map((place) => rankRow(question, place, ends)));
  fill(TOP);
  const more = ranked.length > TOP ? el("button", { type: "button", class: "quiet", text: `all ${ranked.length}`,
    onclick: (event) => { fill(ranked.length); event.target.remove(); } }) : null;
  const missing = visible().length - ranked.length;
  const without = ranked.length
    ? missing ? el("p", { class: "note", text: `${missing} of ${visible().length} arms have no such reading.` }) : null
    : el("p", { class: "none", text: `No arm that is shown tells. ${question.missing}` });
  const open = ranked.length && question.note ? el("p", { class: "note", text: question.note }) : null;
  return frame(question.ask, question.number, rows, answer(question, ranked), list, more, without, open);
}

/** The card's answer in a sentence, before any row is read. */
function answer(question, ranked) {
  if (!ranked.length) return null;
  if (!question.above) {
    const best = ranked[0];
    const tied = best === question.ranked[0] ? question.tied : 0; // a filter may have taken the one that it is about
    return el("p", { class: "answer" }, armButton(best), ` ${told(question.answers[best])}`,
      tied ? el("span", { class: "verdict", text: `${tied} not told apart from it` }) : null);
  }
  const yes = ranked.filter((place) => sign(question.answers[place]) > 0);
  const single = ranked.filter((place) => question.answers[place][3] < 2).length;
  const names = yes.slice(0, 3).map((place) => armButton(place));
  const words = yes.length ? [`${yes.length} of ${ranked.length}: `, ...names, yes.length > 3 ? ` and ${yes.length - 3} more` : ""]
    : [`None of ${ranked.length}, as far as the intervals tell${single ? `; ${single} have one seed and no interval` : ""}.`];
  return el("p", { class: "answer" }, ...words);
}

function sign([, low, high]) {
  return low === null ? 0 : Number(low > 0) - Number(high < 0);
}

function outcome(question, found) {
  if (!question.above) return "";
  if (found[0] === null) return "not a finite number";
  if (found[3] < 2) return "one seed: no interval";
  return [question.below, question.open, question.above][sign(found) + 1];
}

function rankRow(question, place, ends) {
  const found = question.answers[place];
  const [mean, low, high, n] = found;
  const x = scale(ends, [2, 98]);
  const held = (at) => Math.max(0, Math.min(100, x(at)));
  const ink = coloured().has(place) ? `var(${INKS[coloured().get(place)]})` : "var(--faint)";
  const marks = svg("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", class: "whisker", "aria-hidden": "true" });
  if (question.above) marks.append(svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 14 }));
  if (low !== null) marks.append(svg("line", { x1: held(low), x2: held(high), y1: 7, y2: 7, stroke: ink, "stroke-width": 2 }));
  if (mean !== null && x(mean) >= 0 && x(mean) <= 100) marks.append(svg("line", { x1: x(mean), x2: x(mean), y1: 2, y2: 12, stroke: ink, "stroke-width": 4 }));
  const verdict = outcome(question, found);
  const kind = ["far", "open", question.warns ? "warn" : "far"][sign(found) + 1];
  return el("li", {}, armButton(place, 76), marks, el("span", { class: "number", title: `n = ${n}`, text: told(found, Boolean(question.above)) }),
    verdict ? el("span", { class: `verdict ${kind}`, text: verdict }) : null);
}

function claims() {
  const place = document.getElementById("claims");
  if (!DATA.claims.length) return;
  const rows = DATA.claims.map((claim) => {
    const [mean, low, high, n] = claim.found;
    return { reading: claim.letter, arm: claim.arm, than: claim.than, mean, low, high, n,
      expected: ["below 0", "–", "above 0"][claim.sign + 1], found: claim.outcome, says: claim.say };
  });
  const most = DATA.claims.some((claim) => claim.sign) ? 40 : 12;
  const ends = (letter) => {
    const [from, to] = reach(mostly(rows.filter((row) => row.reading === letter).flatMap((row) => [row.low, row.high, row.mean])), 0.04);
    return [Math.min(from, 0), Math.max(to, 0)];
  };
  const said = DATA.claims.some((claim) => claim.say);
  const line = (claim, row) => el("tr", { class: row.found },
    said ? el("td", { text: claim.say }) : null,
    el("td", { title: `${row.arm} − ${row.than}`, text: `${row.reading}: ${brief(short(row.arm), 40)} − ${brief(short(row.than), 40)}` }),
    el("td", {}, claimMark(claim.found, ...ends(row.reading))),
    el("td", { class: "number", text: told(claim.found, true) }), el("td", { class: "number", text: row.n }),
    el("td", { text: row.expected }), el("td", {}, el("span", { class: `verdict ${row.found}`, text: row.found })));
  const table = el("table", { class: "claims" },
    el("thead", {}, el("tr", {}, ...[...(said ? [""] : []), "paired by seed", "", "mean, 95 % interval", "n", "expected", "found"].map((word) => el("th", { scope: "col", text: word })))),
    el("tbody", {}, ...DATA.claims.slice(0, most).map((claim, k) => line(claim, rows[k]))));
  const title = DATA.claims.some((claim) => claim.sign) ? "What was expected, and what was found" : "Differences from the reference and from nulls";
  const note = DATA.claims.length > most ? `The first ${most} of ${DATA.claims.length}; the data have all.` : "";
  place.append(frame(title, note, () => rows, el("div", { class: "scroll" }, table)));
}

function claimMark([mean, low, high], from, to) {
  const x = scale([from, to], [2, 98]);
  const held = (at) => Math.max(0, Math.min(100, x(at)));
  const marks = svg("svg", { viewBox: "0 0 100 14", preserveAspectRatio: "none", class: "whisker", "aria-hidden": "true" },
    svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: 14 }));
  if (low !== null) marks.append(svg("line", { x1: held(low), x2: held(high), y1: 7, y2: 7, stroke: "var(--ink)", "stroke-width": 2 }));
  if (mean !== null) marks.append(svg("line", { x1: held(mean), x2: held(mean), y1: 2, y2: 12, stroke: "var(--ink)", "stroke-width": 4 }));
  return marks;
}
