/** How well each class is known: accuracy over time on held-back examples, and what is taken for what. */

import { showClass } from "./class_dialog.js";
import { hue } from "./colours.js";
import { byId, h, keyed, s, say } from "./dom.js";
import { review } from "./review.js";
import { store } from "./state.js";

const [WIDTH, HEIGHT] = [160, 36];
const WIDEST = 30;

export function mountHealth() {
  byId("review").addEventListener("click", () => review());
  store.on(["health"], ({ health }) => {
    const some = health?.classes.length > 0;
    byId("no-health").hidden = !health || some;
    byId("health-body").hidden = !some;
    if (!some) return;
    say(byId("health-summary"), inWords(health));
    keyed(byId("lines"), health.classes, ({ label }) => `${typeof label} ${label}`, line, updateLine);
    matrix(health);
  });
}

const percent = (share) => (share == null ? "–" : `${Math.round(100 * share)} %`);

/** What one would want to know first. */
function inWords({ accuracy, labels, confusion }) {
  const mistakes = confusion
    .flatMap((row, i) => row.slice(0, -1).map((n, j) => ({ n, i, j })))
    .filter(({ n, i, j }) => n && i !== j)
    .sort((a, b) => b.n - a.n);
  const whole =
    accuracy == null ? "Too few different examples to measure the accuracy." : `${percent(accuracy)} right, on left-out examples.`;
  if (!mistakes.length) return whole;
  const { n, i, j } = mistakes[0];
  return `${whole} The most frequent mistake: ${labels[i]} answered as ${labels[j]} (${n} of ${confusion[i].reduce((a, b) => a + b)}).`;
}

function line({ label }) {
  return h(
    "li",
    { class: hue(label) },
    h("button", { type: "button", class: "text named", on: { click: () => showClass(label) } }, String(label)),
    s(
      "svg",
      { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" },
      s("path", { class: "ground", d: `M0 ${HEIGHT - 2}H${WIDTH}` }),
      s("path", { class: "curve" }),
    ),
    h("span", { class: "number accuracy" }),
    h("span", { class: "soft small sure number" }),
  );
}

function updateLine(item, { label, accuracy, confidence, held_back: heldBack, over_time: overTime }) {
  const points = overTime.map(({ accuracy: right }) => right);
  if (points.length === 1) points.push(points[0]);
  const path = points
    .map(
      (right, i) => `${i ? "L" : "M"}${(i * WIDTH) / Math.max(1, points.length - 1)} ${2 + (1 - right) * (HEIGHT - 4)}`,
    )
    .join("");
  item.querySelector(".curve").setAttribute("d", path);
  item
    .querySelector(".spark")
    .setAttribute(
      "aria-label",
      points.length
        ? `${label}: from ${percent(points[0])} to ${percent(points.at(-1))}`
        : `${label}: no measurements yet`,
    );
  say(item.querySelector(".accuracy"), percent(accuracy));
  say(item.querySelector(".sure"), `of ${heldBack}${confidence == null ? "" : `, ${percent(confidence)} sure`}`);
}

/** The confusion matrix as a table; the darker, the larger the share of the row. */
function matrix({ labels, confusion }) {
  const columns = [...labels.map(String), "Nothing I know"];
  byId("too-wide").hidden = labels.length <= WIDEST;
  byId("matrix").hidden = labels.length > WIDEST;
  if (labels.length > WIDEST) return;
  const head = h(
    "tr",
    {},
    h("td", {}),
    columns.map((label, j) =>
      h("th", { scope: "col", class: j === labels.length ? "unknown" : "" }, h("span", {}, label)),
    ),
  );
  const rows = confusion.map((row, i) => {
    const all = row.reduce((sum, n) => sum + n, 0) || 1;
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, columns[i]),
      row.map((n, j) =>
        h(
          "td",
          {
            class: i === j ? "right" : j === labels.length ? "unknown" : "wrong",
            vars: { share: n / all },
            title: `${n} of ${all}: ${columns[i]} taken for ${columns[j]}`,
          },
          n ? h("span", {}, n) : "",
        ),
      ),
    );
  });
  byId("matrix").replaceChildren(
    h("caption", { class: "unseen" }, "Confusions"),
    h("thead", {}, head),
    h("tbody", {}, rows),
  );
}
