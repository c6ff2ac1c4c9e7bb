/** Single keys, where no field has the focus; and the list of them. They can be switched off (WCAG 2.1.4). */

import { asked } from "./dialogs.js";
import { byId, h } from "./dom.js";
import { focusPile } from "./inbox.js";
import { store } from "./state.js";
import { switchCamera } from "./stage.js";
import { undo } from "./teaching.js";

const KEY = "engram.shortcuts";

const LIST = [
  ["1 … 9", "Hold: teach the class of that number"],
  ["n", "Name something new"],
  ["c", "Camera on or off"],
  ["t", "Teach"],
  ["u", "Unknowns: name the next group"],
  ["m", "Map"],
  ["h", "Health"],
  ["y", "History"],
  ["Ctrl Z", "Undo"],
  ["?", "This list"],
];

const VIEWS = { t: "teach", u: "unknowns", m: "map", h: "health", y: "history" };

/** Digits that are held down, with the end of their holding. */
const held = new Map();

export function mountShortcuts() {
  byId("help-button").addEventListener("click", showShortcuts);
  document.addEventListener("shortcuts", showShortcuts);
  addEventListener("keydown", press);
  addEventListener("keyup", ({ key }) => {
    held.get(key)?.();
    held.delete(key);
  });
  addEventListener("blur", () => {
    for (const release of held.values()) release();
    held.clear();
  });
}

function press(event) {
  const writing =
    event.target.matches?.("input:not([type=range]), textarea, select") || document.querySelector("dialog[open]");
  if (writing) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") {
    event.preventDefault();
    undo();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(KEY) === "off") return;
  const key = event.key.toLowerCase();
  if (/^[1-9]$/.test(key) && store.state.view === "teach") return hold(key, event);
  if (event.repeat) return;
  const act =
    { "?": showShortcuts, n: nameNew, c: () => switchCamera() }[key] ?? (VIEWS[key] && (() => open(VIEWS[key])));
  if (act) {
    event.preventDefault();
    act();
  }
}

function hold(key, event) {
  const card = byId("cards").children[Number(key) - 1];
  if (!card || held.has(key)) return;
  event.preventDefault();
  held.set(key, card.hold.up);
  card.hold.down();
}

function open(view) {
  location.hash = location.hash.replace(/[^/]*$/, view);
  if (view === "unknowns") focusPile();
}

/** The field for a name: of what is not known, else of a new class. */
function nameNew() {
  const field = byId("answer").dataset.kind === "unknown" ? byId("correct-name") : byId("new-name");
  field.focus();
}

function showShortcuts() {
  const on = h("input", {
    type: "checkbox",
    id: "keys-on",
    on: { change: () => localStorage.setItem(KEY, on.checked ? "on" : "off") },
  });
  on.checked = localStorage.getItem(KEY) !== "off";
  asked((answer) => [
    h("h2", {}, "Keyboard shortcuts"),
    h(
      "dl",
      { class: "keys" },
      LIST.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)]),
    ),
    h(
      "p",
      { class: "soft small" },
      "Space or Enter on a button that says “Hold to teach” teaches as long as you hold it.",
    ),
    h(
      "div",
      { class: "row spread" },
      h("label", { class: "check" }, on, " Single keys are on"),
      h("button", { type: "button", class: "primary", autofocus: true, on: { click: () => answer(null) } }, "Close"),
    ),
  ]);
}
