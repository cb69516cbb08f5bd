// Programs as a tree: each below what it was made from, with its scores, what was asked for and why it was not taken.

const GROWN = DATA.programs ?? [];
const looking = { arm: null, seed: 0 };

function programsSection() {
  if (!GROWN.some((seeds) => seeds.some((one) => one.formulas.length > 1))) return;
  const place = document.getElementById("programs");
  place.append(el("h2", { text: "Programs" }));
  const box = el("div", {});
  const draw = () => {
    const here = visible().filter((arm) => GROWN[arm].some((one) => one.formulas.length));
    if (!here.includes(looking.arm)) Object.assign(looking, { arm: here[0] ?? null, seed: 0 });
    box.replaceChildren(...(looking.arm === null ? [el("p", { class: "none", text: "No arm that is shown has programs." })] : drawPrograms(here, draw)));
  };
  hold(box, draw);
  place.append(frame("What was made from what",
    "A program stands below the one that it was made from. Scores are P on practice data, as the search saw them: mean over the lives it was scored by, 95 % interval, n. Open one to see the lines that changed.",
    programRows, box));
}

function programRows() {
  return visible().flatMap((arm) => GROWN[arm].flatMap((tree) => tree.formulas.map((one, row) => ({
    arm: ARMS[arm].name, seed: tree.seed, row, parent: one.parent, path: one.path, step: one.step, move: one.move, formula: one.formula,
    score: one.score?.[0] ?? null, low: one.score?.[1] ?? null, high: one.score?.[2] ?? null, n: one.score?.[3] ?? 0,
    verdicts: one.asked.map(([step, verdict, why]) => `step ${step} ${verdict} ${why}`).join("; ") }))));
}

function drawPrograms(here, draw) {
  const seeds = GROWN[looking.arm];
  const tree = seeds[looking.seed] ?? seeds[0];
  const pick = (label, options, set) => el("label", {}, `${label} `, el("select", { onchange: (event) => { set(Number(event.target.value)); draw(); } }, ...options));
  const controls = el("div", { class: "controls" },
    pick("arm", here.map((arm) => el("option", { value: arm, selected: arm === looking.arm, text: ARMS[arm].name })), (value) => Object.assign(looking, { arm: value, seed: 0 })),
    pick("seed", seeds.map((one, k) => el("option", { value: k, selected: one === tree, text: one.seed })), (value) => { looking.seed = value; }));
  const fallen = tree.fallen.map(([stage, why, n]) => `${n} at ${stage}${why ? ` (${why})` : ""}`).join(", ");
  const note = el("p", { class: "note", text: `${tree.formulas.length} of ${tree.all} programs are shown: what was asked for, the best of the rest, and what they came from. ` +
    `${tree.price} inner steps were spent on candidates.${fallen ? ` Never lived: ${fallen}.` : ""}` });
  const below = new Map();
  tree.formulas.forEach((one, row) => below.set(one.parent, [...(below.get(one.parent) ?? []), row]));
  return [controls, note, el("div", { class: "scroll" }, branch(tree, below, null))];
}

function branch(tree, below, parent) {
  return el("ul", { class: "branch" }, ...(below.get(parent) ?? []).map((row) => el("li", {}, program(tree.formulas[row]), below.has(row) ? branch(tree, below, row) : null)));
}

function program(one) {
  const [mean, low, high, n] = one.score ?? [];
  const score = one.score ? el("span", { class: "score", text: `P ${text(mean)}${n > 1 && low !== null ? ` [${text(low)}, ${text(high)}]` : ""} n ${n}` }) : "";
  const born = el("small", { text: one.step ? ` step ${one.step}${one.move ? `, ${one.move}` : ""} ` : " start " });
  const asked = one.asked.map(([step, verdict, why]) => el("div", { class: "why" },
    el("span", { class: `verdict ${verdict === "accepted" ? "above" : "below"}`, text: verdict }), ` at step ${step}${why ? `: ${why}` : ""}`));
  const lines = one.lines.map((line) => el(line[0] === "+" ? "ins" : line[0] === "-" ? "del" : "span", { text: `${line}\n` }));
  return el("details", {}, el("summary", { class: one.stands ? "stands" : "" }, el("code", { text: one.formula }), born, score, one.stands ? el("b", { text: " in force" }) : "",
    ...[...new Set(one.asked.map(([, verdict]) => verdict))].map((verdict) => el("span", { class: `verdict ${verdict === "accepted" ? "above" : "below"}`, text: ` ${verdict}` }))),
    ...asked, el("pre", { class: "diff" }, ...lines));
}
