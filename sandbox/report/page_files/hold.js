// Figures are drawn when they come into view, and drawn again when what they show has changed.

const held = new Map(); // {element: {draw, due, seen}}

const eye = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const one = held.get(entry.target);
    if (!one) continue;
    one.seen = entry.isIntersecting;
    refreshed(one);
  }
}, { rootMargin: "300px" });

/** Call `draw` as soon as `element` is in view, and whenever something changes while it is. */
function hold(element, draw) {
  held.set(element, { draw, due: true, seen: false });
  eye.observe(element);
}

function refreshed(one) {
  if (!one.due || !one.seen) return;
  one.due = false;
  one.draw();
}

function drawAgain() {
  for (const one of held.values()) { one.due = true; refreshed(one); }
}

watchers.push(drawAgain);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);

let width = innerWidth;
addEventListener("resize", () => {
  if (width === innerWidth) return;
  width = innerWidth;
  requestAnimationFrame(drawAgain);
});
