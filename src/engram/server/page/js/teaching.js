/** Every change that a person makes, and what the page says about it. */

import { Away } from "./api.js";
import { createOutbox } from "./outbox.js";
import { confirmed } from "./dialogs.js";
import * as routes from "./routes.js";
import { store } from "./state.js";
import { refresh } from "./sync.js";
import { toast } from "./toasts.js";

/** @typedef {import("./labels.js").Label} Label */
/** @typedef {import("./taken.js").Taken} Taken */

/** The last act: in how many requests it travelled, and the brain's number after them. */
let last = { act: 0, brain: "", requests: 0, seq: 0 };
let acts = 0;

const outbox = createOutbox({
  send: (lessons, key) =>
    routes.teach(
      lessons[0].brain,
      lessons[0].label,
      lessons.map(({ taken }) => taken),
      key,
      lessons[0].augment,
    ),
  onChange: (waiting) => store.set({ waiting }),
  onTaught: ([{ brain, act }, ...others], { skipped, seq }) => {
    last = { act, brain, seq, requests: act === last.act ? last.requests + 1 : 1 };
    if (brain === store.state.brain) store.set({ seq: Math.max(seq, store.state.seq) });
    if (skipped) toast(`${skipped} of ${count(1 + others.length, "example")} taught nothing new.`);
    refresh();
  },
  onRefused: (lessons, error) => {
    toast(`${lessons[0].label} was not taught: ${error.message}`, { problem: true });
    refresh();
  },
});

window.addEventListener("beforeunload", (event) => {
  if (outbox.size) event.preventDefault();
});

/** A number for what a person does next, so that all that it teaches is undone at once. */
export const newAct = () => ++acts;

/**
 * Teach what was shown, under one label; it is kept and tried again until the server has it on disk.
 * @param {Label} label @param {Taken[]} taken
 */
export function teach(label, taken, act = newAct()) {
  const { brain } = store.state;
  const augment = /** @type {HTMLInputElement} */ (document.getElementById("augment")).checked;
  const lesson = (/** @type {Taken} */ one) => ({
    brain,
    label,
    taken: one,
    act,
    augment: augment && one.kind === "picture",
  });
  if (brain) outbox.add(...taken.map(lesson));
}

/** Teach one thing that was answered wrongly or not at all, and offer the way back. */
export function correct(/** @type {Label} */ label, /** @type {Taken} */ taken) {
  teach(label, [taken]);
  toast(`Learned: this is ${label}.`, { label: "Undo", act: undo });
}

/** Teach that one thing is not what it was taken for; what it is may be taught besides. */
export async function correctNot(/** @type {Label} */ label, /** @type {Taken} */ taken) {
  const key = crypto.randomUUID();
  return tried(
    () => routes.teachNot(store.state.brain, label, taken, key),
    () => `Learned: this is not ${label}.`,
    undo,
  );
}

/** Take the last change back; where it was an act of this page, all of it, in however many requests it travelled. */
export async function undo() {
  const { brain, seq } = store.state;
  const times = last.brain === brain && last.seq === seq ? last.requests : 1;
  await tried(
    async () => {
      for (let time = 0; time < times; time++) await routes.undo(brain);
    },
    () => "Undone.",
  );
}

export async function rollback(/** @type {number} */ to) {
  return tried(
    () => routes.rollback(store.state.brain, to),
    () => "Rolled back.",
    undo,
  );
}

export async function rename(/** @type {Label} */ old, /** @type {Label} */ to) {
  return tried(
    () => routes.rename(store.state.brain, old, to),
    () => `${old} is now called ${to}.`,
    undo,
  );
}

export async function relabel(/** @type {number[]} */ ids, /** @type {Label} */ label) {
  return tried(
    async () => {
      for (const id of ids) await routes.relabel(store.state.brain, id, label);
    },
    () => `${count(ids.length, "example")} moved to ${label}.`,
    undo,
  );
}

export async function forgetExamples(/** @type {number[]} */ ids) {
  const sure = await confirmed(`Forget ${count(ids.length, "example")} for good?`, FOR_GOOD, "Forget for good");
  return (
    sure &&
    tried(
      async () => {
        for (const id of ids) await routes.forgetExample(store.state.brain, id);
      },
      () => `${count(ids.length, "example")} forgotten for good.`,
    )
  );
}

export async function forgetClass(/** @type {import("./state.js").Class} */ { label, count: n }) {
  const sure = await confirmed(
    `Forget ${label} for good?`,
    `All ${count(n, "example")} of it. ${FOR_GOOD}`,
    "Forget for good",
  );
  return (
    sure &&
    tried(
      () => routes.forgetClass(store.state.brain, label),
      () => `${label} is forgotten for good.`,
    )
  );
}

export async function namePile(/** @type {import("./state.js").Pile} */ pile, /** @type {Label} */ label) {
  return tried(
    () => routes.nameGroup(store.state.brain, pile.group, label),
    ({ changed }) => `Learned: ${count(changed, "example")} of ${label}.`,
    undo,
  );
}

/** Let so much of what is known be refused. @returns {Promise<any>} both errors as they are then; null where that failed */
export async function setAlpha(/** @type {number} */ share, /** @type {string} */ said) {
  let found = null;
  await tried(
    async () => {
      found = await routes.setAlpha(store.state.brain, share);
    },
    () => `${said} of what is known may be refused.`,
    undo,
  );
  return found;
}

export async function meldFile(/** @type {File} */ file) {
  return tried(() => routes.meldFile(store.state.brain, file), melded(file.name));
}

export async function meldBrain(/** @type {string} */ other) {
  return tried(() => routes.meldBrain(store.state.brain, other), melded(other));
}

/** "1 example", "3 examples". */
export function count(/** @type {number} */ n, /** @type {string} */ thing) {
  return `${n.toLocaleString()} ${thing}${n === 1 ? "" : thing.endsWith("s") ? "es" : "s"}`;
}

const FOR_GOOD =
  "What was learned from it, its pictures and its place in the history are erased from disk. This cannot be " +
  "undone, and no rolling back brings it back.";

const melded =
  (name) =>
  ({ changed, notes, conflicts }) =>
    [
      changed ? `Melded with ${name}.` : `Nothing new in ${name}.`,
      ...notes,
      ...conflicts.map(({ message }) => message),
    ].join(" ");

/** Do one change; say what was done or what went wrong. @returns {Promise<boolean>} whether it was done */
async function tried(change, said, back) {
  try {
    const answer = await change();
    toast(said(answer), back ? { label: "Undo", act: back } : {});
    return true;
  } catch (error) {
    const retry = error instanceof Away ? { label: "Try again", act: () => tried(change, said, back) } : {};
    toast(error.message, { problem: true, ...retry });
    return false;
  } finally {
    refresh();
  }
}
