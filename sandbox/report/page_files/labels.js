// What uPlot does not draw by itself: the grey lines below, the names at the ends of the coloured ones, and the line
// under the pointer.

const ROOM = 118; // pixels beside a panel for the names of its lines
const LINE = 13; // pixels from one name to the next

/** Draw a course [steps, means, …] into a plot's canvas. */
function stroke(u, [steps, means], ink, wide) {
  const { ctx } = u;
  ctx.strokeStyle = ink;
  ctx.lineWidth = wide * devicePixelRatio;
  ctx.beginPath();
  let down = false;
  let points = 0;
  for (let k = 0; k < steps.length; k++) {
    if (means[k] === null) { down = false; continue; }
    const x = u.valToPos(steps[k], "x", true);
    const y = u.valToPos(means[k], "y", true);
    if (down) ctx.lineTo(x, y); else ctx.moveTo(x, y);
    down = true;
    points++;
  }
  ctx.stroke();
  if (points === 1) dot(u, steps, means, ink);
}

function dot(u, steps, means, ink) {
  const k = means.findIndex((mean) => mean !== null);
  u.ctx.fillStyle = ink;
  u.ctx.beginPath();
  u.ctx.arc(u.valToPos(steps[k], "x", true), u.valToPos(means[k], "y", true), 3.5 * devicePixelRatio, 0, 7);
  u.ctx.fill();
}

function within(u, draw) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw();
  ctx.restore();
}

/** The visible arms that have no colour. */
function greys(u, name) {
  const ink = css("--grey");
  within(u, () => {
    for (const place of visible()) {
      const course = ARMS[place].courses[name];
      if (course && !coloured().has(place)) stroke(u, course, ink, 1);
    }
  });
}

/** The arm under the pointer, in ink, and courses of one point, of which a line shows nothing. */
function above(u, name) {
  within(u, () => {
    for (const place of chosen()) {
      const course = ARMS[place].courses[name];
      if (course && course[0].length === 1) dot(u, course[0], course[1], inkOf(place));
    }
    const course = state.hover !== null && ARMS[state.hover].courses[name];
    if (course) stroke(u, course, coloured().has(state.hover) ? inkOf(state.hover) : css("--ink"), 3);
  });
}

/** Give each label a height `y` at least so far from the next and as near to its line's end as that allows: labels
 * that would meet form a block, and a block stands about the middle of its ends. */
function apart(labels, least, top, bottom) {
  labels.sort((a, b) => a.from - b.from);
  const blocks = [];
  for (const label of labels) {
    let block = { of: [label], middle: label.from };
    while (blocks.length && block.middle - blocks.at(-1).middle < (block.of.length + blocks.at(-1).of.length) / 2 * least) {
      const of = [...blocks.pop().of, ...block.of];
      block = { of, middle: of.reduce((sum, one) => sum + one.from, 0) / of.length };
      const half = (of.length - 1) / 2 * least;
      block.middle = Math.max(top + half, Math.min(bottom - half, block.middle));
    }
    blocks.push(block);
  }
  for (const { of, middle } of blocks) of.forEach((label, k) => { label.y = middle + (k - (of.length - 1) / 2) * least; });
}

/** The names of the coloured arms where their lines end, moved apart where they would meet. */
function ends(u, name) {
  const ratio = devicePixelRatio;
  const { ctx, bbox } = u;
  const labels = [];
  for (const place of new Set([...chosen(), ...(state.hover === null ? [] : [state.hover])])) {
    const course = ARMS[place].courses[name];
    const k = course ? course[1].findLastIndex((mean) => mean !== null) : -1;
    if (k < 0) continue;
    const y = u.valToPos(course[1][k], "y", true);
    labels.push({ place, x: u.valToPos(course[0][k], "x", true), from: Math.max(bbox.top, Math.min(bbox.top + bbox.height, y)) });
  }
  apart(labels, LINE * ratio, bbox.top, bbox.top + bbox.height);
  ctx.save();
  ctx.font = `${11 * ratio}px ${css("--font")}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  const edge = bbox.left + bbox.width;
  for (const label of labels) {
    const bold = label.place === state.hover;
    ctx.strokeStyle = coloured().has(label.place) ? inkOf(label.place) : css("--ink");
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.setLineDash([2 * ratio, 2 * ratio]);
    ctx.moveTo(Math.min(label.x + 3 * ratio, edge), label.from);
    ctx.lineTo(edge, label.from);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.lineWidth = 2 * ratio;
    ctx.beginPath();
    ctx.moveTo(edge, label.from);
    ctx.lineTo(edge + 8 * ratio, label.y);
    ctx.stroke();
    ctx.fillStyle = css("--ink");
    ctx.font = `${bold ? "bold " : ""}${11 * ratio}px ${css("--font")}`;
    ctx.fillText(cut(ctx, short(ARMS[label.place].name), (ROOM - 14) * ratio), edge + 11 * ratio, label.y);
  }
  ctx.restore();
}

/** A name that fits into so many pixels: its middle is left out, since names differ at their ends. */
function cut(ctx, name, room) {
  if (ctx.measureText(name).width <= room) return name;
  const letters = [...name];
  for (let kept = letters.length - 1; kept > 2; kept--) {
    const head = Math.ceil(kept / 3);
    const short = `${letters.slice(0, head).join("")}…${letters.slice(letters.length - (kept - head)).join("")}`;
    if (ctx.measureText(short).width <= room) return short;
  }
  return "…";
}

/** The visible arm whose line is nearest to the pointer, and the place of its nearest point; null where none is near. */
function nearest(u, name) {
  const { left, top } = u.cursor;
  if (left === undefined || left < 0) return null;
  const step = u.posToVal(left, "x");
  let best = null;
  for (const place of visible()) {
    const course = ARMS[place].courses[name];
    if (!course) continue;
    const [steps, means] = course;
    let low = 0;
    let high = steps.length - 1;
    while (low < high) { const mid = (low + high) >> 1; if (steps[mid] < step) low = mid + 1; else high = mid; }
    for (const k of [low - 1, low]) {
      if (k < 0 || means[k] === null) continue;
      const far = Math.hypot((u.valToPos(steps[k], "x") - left) / 3, u.valToPos(means[k], "y") - top) - (coloured().has(place) ? 4 : 0);
      if (far < 22 && (!best || far < best.far)) best = { place, k, far };
    }
  }
  return best;
}
