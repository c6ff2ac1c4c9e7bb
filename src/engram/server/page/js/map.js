/** A map of the memory: prototypes and unknowns in two dimensions, what is alike near each other. */

import { showClass } from "./class_dialog.js";
import { hue } from "./colours.js";
import { byId, h, s, say } from "./dom.js";
import { store } from "./state.js";
import { count } from "./teaching.js";

const NARROW = 860;
const [WIDE, SMALL] = [
  { width: 960, height: 600, margin: 72 },
  { width: 480, height: 480, margin: 48 },
];

export function mountMap() {
  store.on(["map"], ({ map }) => {
    const points = map?.points ?? [];
    byId("no-map").hidden = !map || points.length > 0;
    byId("map-figure").hidden = !points.length;
    if (points.length) draw(points);
  });
}

function draw(points) {
  const frame = innerWidth < NARROW ? SMALL : WIDE;
  byId("map-svg").setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  const placed = fitted(points, frame);
  const { class: groups = [], prototype = [], unknown = [] } = Object.groupBy(placed, ({ kind }) => kind);
  byId("map-svg").replaceChildren(
    ...prototype.map((point) =>
      s("circle", { class: `dot ${hue(point.label)}`, cx: point.x, cy: point.y, r: point.r }),
    ),
    ...unknown.map(({ x, y }) => s("path", { class: "stranger", d: `M${x} ${y - 7}l7 7l-7 7l-7 -7z` })),
    ...groups.map((group) => name(group)),
  );
  settle([...byId("map-svg").querySelectorAll(".name")]);
  tell(groups, unknown);
}

/** Into the frame with one scale for both axes, so that distances keep their meaning. */
function fitted(points, { width, height, margin }) {
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = Math.min((width - 2 * margin) / (right - left || 1), (height - 2 * margin) / (high - low || 1));
  return points.map(({ x, y, weight, label, kind }) => ({
    x: width / 2 + scale * (x - (left + right) / 2),
    y: height / 2 - scale * (y - (low + high) / 2),
    r: Math.min(18, 3.5 + 1.8 * Math.sqrt(weight)),
    weight,
    label,
    kind,
  }));
}

function name({ label, x, y, weight }) {
  const open = () => showClass(label);
  return s(
    "g",
    {
      class: `name ${hue(label)}`,
      role: "button",
      tabindex: "0",
      "aria-label": `${label}, ${count(weight, "example")}`,
      on: {
        click: open,
        keydown: (event) => {
          if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            open();
          }
        },
      },
    },
    s("text", { x, y, "text-anchor": "middle", "dominant-baseline": "central" }, String(label)),
  );
}

/** Labels that would lie on each other move apart, up and down. */
function settle(names) {
  const boxes = names.map((node) => node.getBBox());
  const order = boxes.map((_, i) => i).sort((a, b) => boxes[a].y - boxes[b].y);
  const done = [];
  for (const i of order) {
    const box = boxes[i];
    const hits = () =>
      done.find(
        (other) =>
          Math.abs(other.y - box.y) < box.height && other.x < box.x + box.width && box.x < other.x + other.width,
      );
    const from = box.y;
    for (let other = hits(); other; other = hits()) box.y = other.y + box.height;
    if (box.y !== from) names[i].setAttribute("transform", `translate(0 ${box.y - from})`);
    done.push(box);
  }
}

/** The same in words: which classes lie nearest to each other, and where the unknowns are. */
function tell(groups, unknown) {
  const near = (x, y, others) =>
    others
      .map((other) => ({ label: other.label, d: Math.hypot(other.x - x, other.y - y) }))
      .sort((a, b) => a.d - b.d)[0];
  const rows = groups.map((group) => {
    const next = near(
      group.x,
      group.y,
      groups.filter((other) => other !== group),
    );
    const strangers = unknown.filter(({ x, y }) => near(x, y, groups)?.label === group.label).length;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, String(group.label)),
      h("td", {}, group.weight),
      h("td", {}, next ? String(next.label) : "–"),
      h("td", {}, strangers),
    );
  });
  byId("map-words").replaceChildren(...rows);
  say(
    byId("map-summary"),
    `${count(groups.length, "class")}, ${count(unknown.length, "unknown")}. What is alike lies near each other.`,
  );
}
