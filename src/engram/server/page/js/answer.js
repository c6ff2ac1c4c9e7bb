/** What the brain says: one name, how sure it is, the bars; or "Nothing I know"; and one click to say better. */

import { announce } from "./announce.js";
import { hue } from "./colours.js";
import { byId, h, keyed, say } from "./dom.js";
import { labelFrom } from "./labels.js";
import { numbers } from "./numbers.js";
import { shares } from "./shares.js";
import { current, store } from "./state.js";
import { correct, correctNot } from "./teaching.js";
import { toast } from "./toasts.js";

const BARS = 6;

export function mountAnswer() {
  const panel = byId("answer");
  store.on(["answer", "question", "classes"], render);
  // What is being corrected must not change under the hand: it stands still while pointer or focus are on it.
  const hold = () => {
    const { answer, paused } = store.state;
    if (answer && !paused) store.set({ paused: answer.taken });
  };
  const release = () => {
    if (!panel.matches(":hover") && !panel.contains(document.activeElement)) store.set({ paused: null });
  };
  byId("correction").addEventListener("pointerenter", hold);
  byId("correction").addEventListener("focusin", hold);
  panel.addEventListener("pointerleave", release);
  panel.addEventListener("focusout", () => setTimeout(release));
  byId("not-this").addEventListener("click", teachNot);
  byId("correct").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("correct-name");
    const label = labelFrom(field.value, store.state.classes);
    if (label === null) return field.focus();
    if (current()?.sees_places && !store.state.classes.some((one) => one.label === label)) {
      toast(`This teaches a good one, and ${label} is no product that was taught. Leave a fault as it is.`, { problem: true });
      return field.focus();
    }
    field.value = "";
    teachIt(label);
  });
}

/** One click: this is not what it was taken for. */
function teachNot() {
  const { answer } = store.state.answer ?? {};
  if (answer?.known) put((taken) => correctNot(answer.label, taken));
}

/** One click: this is `label`. */
const teachIt = (label) => put((taken) => correct(label, taken));

function put(right) {
  const taken = store.state.paused ?? store.state.answer?.taken;
  if (!taken) return;
  right(taken);
  document.activeElement?.blur();
  store.set({ paused: null });
}

function render({ answer: asked, question, classes }) {
  const answer = asked?.answer;
  const panel = byId("answer");
  const kind = !answer || !classes.length ? "none" : answer.known ? "known" : "unknown";
  panel.dataset.kind = kind;
  panel.hidden = kind === "none" && !question;
  const measured = Boolean(answer?.values);
  const parts = Boolean(current()?.sees_places); // only good ones are taught: a fault stays unknown
  byId("correction").hidden = kind === "none" || measured;
  const share = answer ? shares(answer.ranked, answer.confidence) : new Map();
  byId("verdict").className = `verdict ${kind === "known" ? hue(answer.label) : ""}`;
  say(byId("verdict-label"), { none: question ?? "", known: measured ? numbers(answer).value : String(answer?.labels?.join(", ") || answer?.label), unknown: "Nothing I know" }[kind]);
  say(byId("verdict-sure"), sureness(kind, answer, share));
  say(byId("correct-label"), kind === "unknown" ? (parts ? "Refused by mistake? Write which good product it is." : "What is it?") : "Wrong? Click what it is, or write it.");
  byId("not-this").hidden = kind !== "known" || parts;
  say(byId("not-this"), kind === "known" ? `Not ${article(answer.label)}${answer.label}` : "");
  byId("correct-name").placeholder = kind === "unknown" ? (parts ? "A good …" : "Name it") : "Something else";
  if (kind === "none") return;
  if (measured) {
    byId("bars").replaceChildren();
    announce(kind === "known" ? `${answer.label} ${numbers(answer).value}` : "Nothing I know");
    return;
  }
  const shown = new Set(answer.ranked.slice(0, BARS).map(({ label }) => label));
  keyed(
    byId("bars"),
    classes.filter(({ label }) => shown.has(label)),
    ({ label }) => `${typeof label} ${label}`,
    bar,
    (item, { label }) => updateBar(item, label, share.get(label) ?? 0, kind, answer.label),
  );
  announce(kind === "known" ? `${answer.label}, ${sureness(kind, answer, share)}` : "Nothing I know");
}

/** "a " or "an " before one word in small letters, as a class often is called; nothing before other names. */
const article = (label) => (!/^[a-z]+$/.test(String(label)) ? "" : /^[aeiou]/.test(label) ? "an " : "a ");

function sureness(kind, answer, share) {
  if (kind === "none") return "";
  if (answer.values) {
    return kind === "known" ? `${answer.label}: ${numbers(answer).between}` : "It is unlike everything taught.";
  }
  const nearest = answer.ranked[0];
  if (kind === "unknown") return nearest ? `The nearest class is ${nearest.label}, but it is not similar enough.` : "";
  const sure = answer.confidence ?? share.get(answer.label) ?? 0;
  return sure > 0.9 ? "sure" : sure > 0.6 ? "fairly sure" : "not sure";
}

function bar({ label }) {
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", class: `level teaches-too ${hue(label)}`, on: { click: () => teachIt(label) } },
      h("span", { class: "bar-label" }, String(label)),
      h("span", { class: "track" }, h("span", { class: "fill" })),
      h("span", { class: "percent number" }),
    ),
  );
}

function updateBar(item, label, share, kind, best) {
  const button = item.firstChild;
  const percent = `${Math.round(100 * share)} %`;
  button.classList.toggle("best", kind === "known" && label === best);
  button.style.setProperty("--share", share);
  say(button.querySelector(".percent"), percent);
  button.setAttribute(
    "aria-label",
    kind === "known" ? `${label}, ${percent}. Teach: this is ${label}` : `Teach: this is ${label}`,
  );
}
