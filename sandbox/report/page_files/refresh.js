// The filter's bar; and a page of a sweep that still runs loads itself again, where the reader was.

const VALUES = 40; // of a setting that can be picked from a list

function bar() {
  const place = document.getElementById("bar");
  const count = el("span", { class: "count", role: "status" });
  const words = el("input", { type: "search", id: "words", placeholder: "filter: words of a name or setting", "aria-label": "filter arms", oninput: (event) => {
    state.words = event.target.value;
    changed();
  } });
  const picks = DATA.settings.map(pick).filter(Boolean);
  const more = picks.length > 3 ? [el("details", { class: "picks" }, el("summary", { text: `settings (${picks.length})` }), ...picks)] : picks;
  const chips = el("span", { class: "chips" });
  place.append(words, ...more, el("button", { type: "button", class: "quiet", text: "reset", onclick: reset }), count, chips);
  const draw = () => {
    if (words.value !== state.words) words.value = state.words;
    place.querySelectorAll("select").forEach((select) => { select.value = state.settings[select.name] ?? ""; });
    const n = visible().length;
    count.textContent = `${n} of ${ARMS.length} arms`;
    chips.replaceChildren(...chosen().map((arm) => armButton(arm, 48)), n > chosen().length ? el("span", { class: "note", text: `${n - chosen().length} grey` }) : "");
  };
  watchers.push(draw);
  draw();
}

function pick(key) {
  const values = [...new Set(ARMS.map((arm) => String(arm.settings[key])))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  if (values.length < 2 || values.length > VALUES) return null;
  return el("label", { title: key }, `${keyed(key)} `, el("select", { name: key, onchange: (event) => {
    if (event.target.value) state.settings[key] = event.target.value; else delete state.settings[key];
    changed();
  } }, el("option", { value: "", text: "all" }), ...values.map((value) => el("option", { value, text: value }))));
}

/** Load the page again after its seconds, unless the reader holds it; the place on the page is kept. */
function refresh() {
  const kept = sessionStorage.getItem("top");
  if (kept) scrollTo(0, Number(kept));
  sessionStorage.removeItem("top");
  if (!DATA.refresh) return;
  const hold = el("input", { type: "checkbox", checked: sessionStorage.getItem("held") !== "yes", onchange: (event) => sessionStorage.setItem("held", event.target.checked ? "no" : "yes") });
  document.getElementById("head").prepend(el("label", { class: "live" }, hold, ` live: made ${DATA.made}, loads again every ${DATA.refresh} s`));
  setInterval(() => {
    if (!hold.checked || ["INPUT", "SELECT"].includes(document.activeElement?.tagName) && document.activeElement !== hold) return;
    sessionStorage.setItem("top", String(scrollY));
    location.reload();
  }, DATA.refresh * 1000);
}
