/** Every change that a person makes, and what the page says about it. */

import { Away } from "./api.js";
import { createOutbox } from "./outbox.js";
import { confirmed } from "./dialogs.js";
import * as routes from "./routes.js";
import { store, takes } from "./state.js";
import { refresh } from "./sync.js";
import { toast } from "./toasts.js";
import { begin, cutShort, nameOf, settle } from "./unfinished.js";

/** @typedef {import("./labels.js").Label} Label */
/** @typedef {import("./taken.js").Taken} Taken */

const outbox = createOutbox({
  send: (lessons, key) =>
    routes.teach(
      lessons[0].brain,
      lessons[0].label,
      lessons.map(({ taken }) => taken),
      key,
      lessons[0].act,
      lessons[0],
    ),
  onChange: (waiting) => store.set({ waiting }),
  onTaught: (lessons, { skipped, seq }) => {
    const [{ brain, act }] = lessons;
    if (brain === store.state.brain) store.set({ seq: Math.max(seq, store.state.seq) });
    if (drops.has(act)) drops.get(act).settled(lessons, skipped, "");
    else if (skipped) toast(`${skipped} of ${count(lessons.length, "example")} taught nothing new.`);
    refresh();
  },
  onRefused: (lessons, error) => {
    const drop = drops.get(lessons[0].act);
    if (drop) drop.settled(lessons, 0, error.message);
    else toast(`${lessons[0].label} was not taught: ${error.message}`, { problem: true });
    refresh();
  },
});

/** Drops of files under way, by act: what they are told of some of their lessons, and how they are ended. */
const drops = new Map();

window.addEventListener("beforeunload", (event) => {
  if (outbox.size || drops.size) event.preventDefault();
});

/** A name for what a person does next, so that all that it teaches is undone at once. */
export const newAct = () => crypto.randomUUID();

/**
 * Teach what was shown, under one label; it is kept and tried again until the server has it on disk.
 * @param {Label} label @param {Taken[]} taken
 */
export function teach(label, taken, act = newAct(), { brain = store.state.brain, again = true } = {}) {
  const augment = document.getElementById("augment").checked;
  const numbers = store.state.brains.find(({ name }) => name === brain)?.numbers;
  const lesson = (/** @type {Taken} */ one) => ({
    brain,
    label,
    taken: one,
    act,
    augment: augment && one.kind === "picture",
    again,
    measured: Boolean(numbers) || (typeof label === "number" && label % 1 !== 0),
  });
  if (brain) outbox.add(...taken.map(lesson));
}

/**
 * Teach files, each under its label, as one act: what is held already is not taught again, and what becomes of them is
 * told once.
 * @param {{file: File, label: Label}[]} files
 * @param {(file: File) => Promise<Taken>} made what is sent of a file; fails where it cannot be read
 */
export async function teachFiles(files, made) {
  const { brain } = store.state;
  if (!brain) return;
  const act = newAct();
  const what = takes() === "sound" ? "sound" : "picture";
  const names = files.map(({ file, label }) => nameOf({ label, name: file.name }));
  const release = begin(act, brain, names);
  /** @type {string[]} */
  const leftOut = [];
  let known = 0;
  let open = files.length;
  const end = () => {
    drops.delete(act);
    settle(brain, names);
    release();
  };
  const settled = (/** @type {{label: Label, taken: {name?: string}}[]} */ lessons, skipped, why) => {
    settle(
      brain,
      lessons.map(({ label, taken }) => nameOf({ label, name: taken.name })),
    );
    if (why) leftOut.push(...lessons.map(({ taken }) => `${taken.name}: ${why}`));
    known += skipped;
    open -= lessons.length;
    if (open) return;
    end();
    const taught = files.length - leftOut.length - known;
    const rest = [known && `${known} known already`, leftOut.length && `${leftOut.length} left out`].filter(Boolean);
    toast(`${[`Taught ${count(taught, what)}`, ...rest].join(", ")}.`, {
      problem: leftOut.length > 0,
      list: leftOut,
      label: "Undo",
      act: () => undo(act),
    });
  };
  drops.set(act, { settled, end });
  for (const { file, label } of files) {
    if (!drops.has(act)) return;
    try {
      teach(label, [await made(file)], act, { brain, again: false });
    } catch (error) {
      settled([{ label, taken: { name: file.name } }], 0, error.message);
    }
  }
}

/** Tell which files of the open brain were not taught, because a page was closed while it taught them. */
export async function tellUnfinished() {
  const { brain } = store.state;
  if (!brain) return;
  for (const { total, missing } of await cutShort(brain))
    toast(
      `A drop of ${count(total, "file")} was cut short: ${total - missing.length} are taught, ${missing.length} ` +
        "missing. Drop them again; what is taught already is left out.",
      { problem: true, list: missing },
    );
}

/** Teach one thing that was answered wrongly or not at all, and offer the way back. */
export function correct(/** @type {Label} */ label, /** @type {Taken} */ taken) {
  const act = newAct();
  teach(label, [taken], act);
  toast(`Learned: this is ${label}.`, { label: "Undo", act: () => undo(act) });
}

/** Teach that one thing is not what it was taken for; what it is may be taught besides. */
export async function correctNot(/** @type {Label} */ label, /** @type {Taken} */ taken) {
  const key = crypto.randomUUID();
  return tried(
    () => routes.teachNot(store.state.brain, label, taken, key),
    () => `Learned: this is not ${label}.`,
    () => undo(),
  );
}

/** Take back an act of this page, what of it is still to be sent included; without one the last change. */
export async function undo(/** @type {string | undefined} */ act = store.state.waiting.at(-1)?.act) {
  const { brain } = store.state;
  if (act) drops.get(act)?.end();
  const gone = act ? await outbox.withdraw(act) : false;
  await tried(
    async () => gone || (await routes.undo(brain, act)),
    () => "Undone.",
  );
}

export async function rollback(to) {
  return tried(
    () => routes.rollback(store.state.brain, to),
    () => "Rolled back.",
    () => undo(),
  );
}

export async function rename(/** @type {Label} */ old, /** @type {Label} */ to) {
  return tried(
    () => routes.rename(store.state.brain, old, to),
    () => `${old} is now called ${to}.`,
    () => undo(),
  );
}

export async function relabel(/** @type {number[]} */ ids, /** @type {Label} */ label) {
  const act = newAct();
  return tried(
    async () => {
      for (const id of ids) await routes.relabel(store.state.brain, id, label, act);
    },
    () => `${count(ids.length, "example")} moved to ${label}.`,
    () => undo(act),
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
    () => undo(),
  );
}

/** Let so much of what is known be refused. @returns {Promise<any>} both errors as they are then; null where that failed */
export async function setAlpha(share, said) {
  let found = null;
  await tried(
    async () => {
      found = await routes.setAlpha(store.state.brain, share);
    },
    () => `${said} of what is known may be refused.`,
    () => undo(),
  );
  return found;
}

export async function meldFile(file) {
  return tried(() => routes.meldFile(store.state.brain, file), melded(file.name));
}

export async function meldBrain(other) {
  return tried(() => routes.meldBrain(store.state.brain, other), melded(other));
}

/** "1 example", "3 examples". */
export function count(n, thing) {
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
