// A figure's frame: its title, and its data behind a click, as a table, as CSV and as JSON.

const MOST_ROWS = 200; // of a table of data that is looked at; the files have all

/** A figure's frame. `rows`: called for its data when they are asked for, a list of objects with the same keys. */
function frame(title, note, rows, ...children) {
  const holder = el("div", { class: "data", hidden: true });
  const button = el("button", {
    type: "button", class: "quiet", "aria-expanded": "false", title: `The data of: ${title}`, text: "data",
    onclick: () => {
      holder.hidden = !holder.hidden;
      button.setAttribute("aria-expanded", String(!holder.hidden));
      holder.replaceChildren();
      if (!holder.hidden) holder.append(...dataTable(title, rows()));
    },
  });
  return el("figure", { class: "frame" },
    el("figcaption", {}, el("h3", { text: title }), note ? el("p", { text: note }) : null, button), ...children, holder);
}

function dataTable(title, rows) {
  if (!rows.length) return [el("p", { text: "No data: nothing that is shown has this reading." })];
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const table = el("table", {},
    el("thead", {}, el("tr", {}, ...keys.map((key) => el("th", { scope: "col", text: key })))),
    el("tbody", {}, ...rows.slice(0, MOST_ROWS).map((row) =>
      el("tr", {}, ...keys.map((key) => el("td", { text: plain(row[key]) }))))));
  const name = title.replace(/[^\w]+/g, "-").replace(/^-|-$/g, "").toLowerCase() || "data";
  const cut = rows.length > MOST_ROWS ? `the first ${MOST_ROWS} of ${rows.length} rows; the files have all` : `${rows.length} row${rows.length === 1 ? "" : "s"}`;
  return [
    el("p", {}, cut, " ",
      el("button", { type: "button", class: "quiet", text: "CSV", onclick: () => save(`${name}.csv`, "text/csv", csv(keys, rows)) }), " ",
      el("button", { type: "button", class: "quiet", text: "JSON",
        onclick: () => save(`${name}.json`, "application/json", JSON.stringify(rows, null, 1)) })),
    el("div", { class: "scroll", tabindex: "0" }, table),
  ];
}

function plain(value) {
  return value === null || value === undefined ? "" : Array.isArray(value) ? value.map(plain).join(" ") : String(value);
}

/** RFC 4180: quotes around what holds a comma, a quote or an end of line. */
function csv(keys, rows) {
  const cell = (value) => /[",\r\n]/.test(plain(value)) ? `"${plain(value).replace(/"/g, '""')}"` : plain(value);
  return [keys, ...rows.map((row) => keys.map((key) => row[key]))].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

function save(name, type, words) {
  const address = URL.createObjectURL(new Blob([words], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
