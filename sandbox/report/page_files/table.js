// The tables of arms and of runs: sorted by a click on a head, a page at a time. The filter of the page is theirs.

const ROWS = 30;

/** A table that sorts. `columns`: [{title, of(item): value, show(item): element or text, number}]. */
function sorted(items, columns, start) {
  const order = { by: start, down: false, page: 0 };
  const holder = el("div", {});
  const value = (item) => columns[order.by].of(item);
  const last = (x) => x === null || x === undefined || x === "" || Number.isNaN(x);
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (last(x) || last(y)) return Number(last(x)) - Number(last(y));
    const found = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return order.down ? -found : found;
  };
  const draw = () => {
    const all = items();
    const rows = order.by === null ? all : [...all].sort(compare);
    const pages = Math.max(1, Math.ceil(rows.length / ROWS));
    order.page = Math.min(order.page, pages - 1);
    const headed = columns.map((column, k) => el("th", { scope: "col", class: column.number ? "number" : "", "aria-sort": order.by === k ? (order.down ? "descending" : "ascending") : "none" },
      el("button", { type: "button", title: column.help || column.title, onclick: () => {
        order.down = order.by === k ? !order.down : false;
        order.by = k;
        draw();
        holder.querySelectorAll("th button")[k].focus();
      } }, column.title, order.by === k ? (order.down ? " ▾" : " ▴") : "")));
    const body = rows.slice(order.page * ROWS, (order.page + 1) * ROWS).map((item) => el("tr", {}, ...columns.map((column) =>
      el("td", { class: column.number ? "number" : "" }, column.show(item)))));
    const turn = (by) => el("button", { type: "button", class: "quiet", text: by < 0 ? "‹ before" : "after ›", disabled: order.page + by < 0 || order.page + by >= pages,
      onclick: () => { order.page += by; draw(); } });
    holder.replaceChildren(el("div", { class: "scroll", tabindex: "0" }, el("table", {}, el("thead", {}, el("tr", {}, ...headed)), el("tbody", {}, ...body))),
      pages > 1 ? el("p", { class: "pages" }, turn(-1), ` page ${order.page + 1} of ${pages} (${rows.length} rows) `, turn(1)) : el("p", { class: "pages", text: `${rows.length} row${rows.length === 1 ? "" : "s"}` }));
  };
  hold(holder, draw);
  draw();
  return holder;
}

function armsTable() {
  const settings = DATA.settings.map((key) => ({ title: keyed(key), help: key, of: (place) => ARMS[place].settings[key],
    show: (place) => brief(text(ARMS[place].settings[key] ?? null), 24), number: ARMS.some((arm) => typeof arm.settings[key] === "number") }));
  const asked = DATA.asked.filter((question) => question.above && Object.keys(question.answers).length).map((question) => ({
    title: question.number, help: question.ask, number: true, of: (place) => question.answers[place]?.[0],
    show: (place) => question.answers[place] ? told(question.answers[place], true) : "–" }));
  const heads = DATA.readings.filter((one) => one.headline && !one.is_null && ARMS.some((arm) => arm.finals[one.name])).map((one) => ({
    title: one.letter + ({ higher: " ↑", lower: " ↓" }[one.better] || ""), help: `${one.title} (${one.name})`, number: true,
    of: (place) => ARMS[place].finals[one.name]?.[0], show: (place) => ARMS[place].finals[one.name] ? told(ARMS[place].finals[one.name]) : "–" }));
  const columns = [
    { title: "arm", of: (place) => ARMS[place].name, show: (place) => armButton(place) },
    { title: "n", help: "seeds", number: true, of: (place) => ARMS[place].seeds.length, show: (place) => String(ARMS[place].seeds.length) },
    ...asked, ...heads, ...settings,
  ];
  const rows = () => visible().map((place) => ({ arm: ARMS[place].name, n: ARMS[place].seeds.length, ...ARMS[place].settings,
    ...Object.fromEntries(DATA.readings.flatMap(({ name }) => (["mean", "low", "high"].map((end, k) => [`${name} ${end}`, ARMS[place].finals[name]?.[k] ?? null])))) }));
  const place = document.getElementById("table");
  place.append(el("h2", { text: "Arms" }), frame("Every arm", "At the last step: mean over seeds and 95 % interval. A click on a name gives the arm a colour.", rows, sorted(visible, columns, null)));
}

function runsTable() {
  const here = () => { const arms = new Set(visible()); return DATA.runs.filter((run) => run.arm === null ? !state.words : arms.has(run.arm)); };
  const column = (title, of, number = false) => ({ title, of, number, show: (run) => brief(text(of(run)), 80) });
  const columns = [column("run", (run) => run.folder), column("arm", (run) => run.arm === null ? run.label : ARMS[run.arm].name),
    column("state", (run) => run.state), column("step", (run) => run.step, true), column("of", (run) => run.steps, true),
    column("seeds", (run) => run.seeds.length, true), column("seconds", (run) => run.seconds, true),
    { title: "error", of: (run) => run.error, show: (run) => run.error }];
  const place = document.getElementById("runs");
  place.append(el("h2", { text: "Runs" }), frame("Every run", "", () => here().map((run) => ({ ...run, arm: run.arm === null ? run.label : ARMS[run.arm].name })), sorted(here, columns, null)));
}
