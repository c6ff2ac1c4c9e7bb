/** What the page knows: the server's state as last heard, and what is going on here. */

import { createStore } from "./store.js";

/**
 * @typedef {import("./labels.js").Label} Label
 * @typedef {import("./taken.js").Taken} Taken
 * @typedef {{label: Label, count: number, newest: number[]}} Class
 * @typedef {{number: number, source: string | null, thumbnail: boolean}} Unknown
 * @typedef {{group: number, likeness: number | null, members: Unknown[]}} Pile
 * @typedef {{seq: number, time: string, kind: string, teacher: string | null, labels: {label: Label, count: number}[],
 *   note: string | null, undone: boolean}} Entry
 * @typedef {{label: Label | null, known: boolean, confidence: number | null,
 *   ranked: {label: Label, score: number | null}[], values?: number[],
 *   intervals?: [number | null, number | null][]}} Answer
 * @typedef {{name: string, state: string, problem: string | null, follower: boolean, seq: number, examples: number,
 *   classes: number, unknowns: number, takes: "pictures" | "sound" | "vectors" | "text" | null,
 *   sees_places: boolean, locates: boolean, numbers: string[] | null}} Brain
 */

export const store = createStore({
  // As the server has it.
  brains: /** @type {Brain[]} */ ([]),
  scopes: ["ask", "teach", "correct", "export", "admin"],
  brain: /** @type {string | null} */ (null),
  loaded: false,
  seq: 0,
  classes: /** @type {Class[]} */ ([]),
  piles: /** @type {Pile[]} */ ([]),
  entries: /** @type {Entry[]} */ ([]),
  earlier: /** @type {number | null} */ (null),
  map: /** @type {any} */ (null),
  health: /** @type {any} */ (null),
  alpha: /** @type {any} */ (null),

  // As it is here.
  view: "teach",
  online: true,
  waiting: /** @type {import("./outbox.js").Lesson[]} */ ([]),
  camera: false,
  microphone: false,
  recording: false,
  holding: /** @type {Label | null} */ (null),
  shown: /** @type {Taken | null} */ (null),
  paused: /** @type {Taken | null} */ (null),
  answer: /** @type {{answer: Answer, taken: Taken, heat?: Blob | null} | null} */ (null),
  where: false,
  region: /** @type {null | "draw" | number[]} */ (null),
  question: /** @type {string | null} */ (null),
});

/** The brain that is open, as the list of brains has it. */
export const current = () => store.state.brains.find(({ name }) => name === store.state.brain);

/** What the open brain is shown; pictures until its first inputs decide otherwise. */
export const takes = () => current()?.takes ?? "pictures";

/** Whether the open brain may be shown files: pictures or sounds, which have small pictures to look at. */
export const takesFiles = () => ["pictures", "sound"].includes(takes());

/** Whether the open brain may be taught sounds: a new one may. */
export const takesSound = () => current()?.takes === "sound" || current()?.takes === null;

/** Whether whoever looks at this page has one of these scopes. */
export const may = (/** @type {string[]} */ ...scopes) => scopes.some((scope) => store.state.scopes.includes(scope));

/** Whether whoever looks at this page may teach the open brain. */
export const mayTeach = () => may("teach") && !current()?.follower && current()?.state !== "failed";
