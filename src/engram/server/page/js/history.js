/** What happened, and the brain as it was: a slider goes back in time, a button makes it so again. */

import { hue } from "./colours.js";
import { byId, h, keyed, say } from "./dom.js";
import { info } from "./routes.js";
import { store } from "./state.js";
import { loadEarlier } from "./sync.js";
import { count, rollback } from "./teaching.js";

const PATIENCE = 80;

let timer = 0;
let asked = 0;

export function mountHistory() {
  const slider = byId("time");
  slider.addEventListener("input", () => {
    clearTimeout(timer);
    sayMoment();
    timer = window.setTimeout(showThen, PATIENCE);
  });
  const toNow = () => {
    slider.value = slider.max;
    showThen();
  };
  byId("roll-back").addEventListener("click", async () => {
    if (await rollback(Number(slider.value))) toNow();
  });
  byId("now").addEventListener("click", toNow);
  byId("earlier").addEventListener("click", loadEarlier);
  store.on(["seq"], ({ seq }) => {
    const atEnd = slider.value === slider.max;
    slider.max = String(seq);
    if (atEnd) slider.value = slider.max;
    sayMoment();
  });
  store.on(["entries", "earlier", "loaded"], ({ entries, earlier, loaded }) => {
    byId("no-history").hidden = !loaded || entries.length > 0;
    byId("then").hidden = byId("past").hidden = !entries.length;
    byId("earlier").hidden = earlier === null;
    keyed(
      byId("entries"),
      entries,
      ({ seq }) => seq,
      entry,
      (item, one) => {
        item.classList.toggle("undone", one.undone);
        say(item.querySelector(".what"), told(one));
        say(item.querySelector(".state"), one.undone ? "undone" : "");
      },
    );
  });
  store.on(["entries", "classes"], showThen);
}

/** The moment after an event in words. Entries are newest first, and each ends with its `seq`. */
function momentOf(seq) {
  const { entries, seq: now } = store.state;
  if (seq === now) return "Now";
  const next = entries.findLast((one) => one.seq >= seq);
  if (!next) return `Event ${seq}`;
  return `${when(next.time)}, ${next.seq === seq ? "after" : "in the midst of"}: ${told(next)}`;
}

function sayMoment() {
  const slider = byId("time");
  const seq = Number(slider.value);
  const text = momentOf(seq);
  say(byId("moment"), text);
  slider.setAttribute("aria-valuetext", text);
  byId("roll-back").disabled = byId("now").disabled = seq === store.state.seq;
}

/** Counts at the slider's moment beside those of now. */
async function showThen() {
  const { brain, view, seq, classes } = store.state;
  if (!brain || view !== "history") return;
  sayMoment();
  const to = Number(byId("time").value);
  const mine = ++asked;
  try {
    const then = to === seq ? classes : (await info(brain, to)).classes;
    if (mine === asked) showCounts(then, classes);
    say(byId("then-problem"), "");
  } catch (error) {
    if (mine !== asked) return;
    showCounts([], []);
    say(byId("then-problem"), error.message);
    byId("roll-back").disabled = true;
  }
}

function showCounts(then, now) {
  const counts = new Map(now.map(({ label }) => [label, [0, 0]]));
  for (const { label, count: n } of then) counts.set(label, [n, 0]);
  for (const { label, count: n } of now) counts.set(label, [counts.get(label)[0], n]);
  const most = Math.max(1, ...[...counts.values()].flat());
  keyed(
    byId("counts"),
    [...counts],
    ([label]) => `${typeof label} ${label}`,
    ([label]) =>
      h(
        "li",
        { class: hue(label) },
        h("span", { class: "bar-label" }, String(label)),
        h("span", { class: "track" }, h("span", { class: "ghost" }), h("span", { class: "fill" })),
        h("span", { class: "number change" }),
      ),
    (item, [, [before, after]]) => {
      item.style.setProperty("--share", String(before / most));
      item.style.setProperty("--now", String(after / most));
      say(item.querySelector(".change"), before === after ? before : `${before} → ${after}`);
    },
  );
}

function entry({ seq, time }) {
  return h(
    "li",
    {},
    h("time", { datetime: time, class: "soft small number" }, when(time)),
    h("span", { class: "what" }),
    h("span", { class: "state soft small" }),
    h(
      "button",
      {
        type: "button",
        class: "text small",
        "aria-label": `See the brain after event ${seq}`,
        on: {
          click: () => {
            byId("time").value = seq;
            showThen();
            byId("time").focus();
          },
        },
      },
      "See",
    ),
  );
}

/** An entry in words: "taught 12 examples of iris". */
function told({ kind, labels, note, teacher }) {
  const of = labels.map(({ label, count: n }) => `${n} × ${label ?? "what was forgotten for good"}`);
  const some = of.length > 4 ? [...of.slice(0, 3), `${count(of.length - 3, "more class")}`] : of;
  return [kind, some.join(", "), note && `(${note})`, teacher && `by ${teacher}`].filter(Boolean).join(" ");
}

const when = (time) =>
  new Date(time).toLocaleString([], {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
