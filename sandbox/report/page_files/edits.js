// The edits of one arm: how many of each verdict, the tree that they grow into, and a table with what changed and why.

const PAGE = 25; // rows of the table at a time
const EDITS = DATA.edits.arms.map(({ asked, rows }) => ({ asked, rows: rows.map((row) => ({
  level: row[0], step: row[1], seed: row[2], path: DATA.edits.words[row[3]], before: row[4], asked: row[5],
  verdict: DATA.edits.words[row[6]], why: DATA.edits.words[row[7]],
})) }));
const VERDICTS = ["accepted", "rejected", "refused", "rolled back"];
const MEANS = { accepted: "taken", rejected: "by the gate", refused: "malformed or not finite", "rolled back": "the life went non-finite" };

const looked = { arm: null, path: "", without: new Set(), page: 0 };

function editsSection() {
  const place = document.getElementById("edits");
  place.append(el("h2", { text: "Edits" }));
  if (!EDITS.some((one) => one.asked)) return place.append(el("p", { class: "none", text: "No arm has asked for an edit." }));
  const box = el("div", {});
  const draw = () => {
    const here = [...chosen(), ...visible()].filter((arm, k, all) => EDITS[arm].asked && all.indexOf(arm) === k);
    if (!here.includes(looked.arm)) Object.assign(looked, { arm: here[0] ?? null, page: 0, path: "" });
    box.replaceChildren(...(looked.arm === null ? [el("p", { class: "none", text: "No arm that is shown has asked for an edit." })] : drawEdits(here, draw, Math.max(560, box.clientWidth))));
  };
  hold(box, draw);
  return place.append(frame("What was asked for, and what became of it",
    "Before an edit of the top level stands the value in force at its path. A trunk a seed: dots on it are accepted edits, twigs are those that were not.",
    editRows, box));
}

function editRows() {
  return visible().flatMap((place) => EDITS[place].rows.map((row) => ({ arm: ARMS[place].name, ...row })));
}

function drawEdits(here, draw, width) {
  const { asked, rows } = EDITS[looked.arm];
  const paths = [...new Set(rows.map((row) => row.path))];
  if (!paths.includes(looked.path)) looked.path = "";
  const ofPath = rows.filter((row) => !looked.path || row.path === looked.path);
  const left = ofPath.filter((row) => !looked.without.has(row.verdict));
  const pick = (label, values, value, set) => el("label", {}, `${label} `, el("select", { onchange: (event) => { set(event.target.value); looked.page = 0; draw(); } },
    ...values.map(([key, name]) => el("option", { value: key, selected: String(value) === String(key), text: name }))));
  const controls = el("div", { class: "controls" },
    pick("arm", here.map((arm) => [arm, ARMS[arm].name]), looked.arm, (value) => { looked.arm = Number(value); }),
    paths.length > 1 ? pick("path", [["", "all paths"], ...paths.map((path) => [path, path])], looked.path, (value) => { looked.path = value; }) : null,
    ...VERDICTS.map((verdict) => verdictBox(verdict, ofPath, draw)));
  const sampled = rows.length < asked ? el("p", { class: "note", text: `${rows.length} of ${asked} edits: whole steps, evenly over the run. All are in lineage.jsonl.` }) : null;
  return [controls, sampled ?? "", tree(ofPath, looked.arm, width), pages(left, draw), editTable(left.slice(looked.page * PAGE, (looked.page + 1) * PAGE))];
}

function verdictBox(verdict, rows, draw) {
  const n = rows.filter((row) => row.verdict === verdict).length;
  return el("label", { title: MEANS[verdict] }, el("input", { type: "checkbox", checked: !looked.without.has(verdict), onchange: (event) => {
    if (event.target.checked) looked.without.delete(verdict); else looked.without.add(verdict);
    looked.page = 0;
    draw();
  } }), ` ${verdict} (${n})`);
}

function pages(rows, draw) {
  const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
  looked.page = Math.min(looked.page, last);
  const turn = (by) => el("button", { type: "button", class: "quiet", text: by < 0 ? "‹ earlier" : "later ›", disabled: by < 0 ? looked.page === 0 : looked.page === last,
    onclick: () => { looked.page += by; draw(); } });
  const first = looked.page * PAGE;
  return el("p", { class: "pages" }, turn(-1), ` ${rows.length ? first + 1 : 0} to ${Math.min(rows.length, first + PAGE)} of ${rows.length} `, turn(1));
}

function editTable(rows) {
  const cells = (row) => [
    el("td", { class: "number", text: row.step }), el("td", { class: "number", text: row.seed }), el("td", {}, el("code", { text: row.path }), row.level > 1 ? ` level ${row.level}` : ""),
    el("td", { class: "diff" }, row.before === null ? el("span", { class: "start", text: "as at the start" }) : row.before === "" ? "" : el("del", { text: text(row.before) }), " → ", el("ins", { class: row.verdict === "accepted" ? "" : "not", text: text(row.asked) }), change(row)),
    el("td", {}, el("span", { class: `verdict ${row.verdict === "accepted" ? "above" : "below"}`, text: row.verdict })), el("td", { class: "why", text: row.why }),
  ];
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["step", "seed", "path", "before → asked for", "verdict", "why"].map((word) => el("th", { scope: "col", text: word })))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row))))));
}

function change({ before, asked }) {
  if (typeof before !== "number" || typeof asked !== "number") return null;
  const share = before ? ` (${asked >= before ? "+" : "−"}${Math.abs((asked - before) / before * 100).toPrecision(2)} %)` : "";
  return el("small", { text: share });
}
