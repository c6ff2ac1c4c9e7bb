/** The server's routes as functions. Shapes of what they give are in its OpenAPI (`/openapi.json`). */

import { ask, send } from "./api.js";

const seg = (part) => encodeURIComponent(String(part));
const of = (brain, path = "") => `brains/${seg(brain)}${path}`;

export const brains = () => ask("GET", "brains");
export const createBrain = (name, backbone) => ask("POST", "brains", { body: { name, backbone } });

export const info = (brain, at) => ask("GET", of(brain, at == null ? "/info" : `/info?at=${at}`));
export const classes = (brain) => ask("GET", of(brain, "/classes"));
export const unknowns = (brain) => ask("GET", of(brain, "/unknowns"));
export const map = (brain) => ask("GET", of(brain, "/map"));
export const health = (brain) => ask("GET", of(brain, "/health"));
export const audit = (brain) => ask("GET", of(brain, "/audit?limit=100"));
export const alpha = (brain) => ask("GET", of(brain, "/alpha"));
export const setAlpha = (brain, alpha) => ask("PUT", of(brain, "/alpha"), { body: { alpha } });
export const history = (brain, before) =>
  ask("GET", of(brain, `/history?limit=50${before == null ? "" : `&before=${before}`}`));
export const examples = (brain, label, after = 0) =>
  ask("GET", of(brain, `/examples?label=${seg(label)}&after=${after}&limit=100`));
export const eventsPath = (brain) => of(brain, "/events");
export const thumbnail = (brain, id) => of(brain, `/examples/${id}/thumbnail`);
export const unknownThumbnail = (brain, number) => of(brain, `/unknowns/${number}/thumbnail`);
export const exportPath = (brain, format) => of(brain, `/export?format=${format}`);

/** What names the act that a request belongs to with others: one undo takes all of it back. */
const inAct = (/** @type {string | undefined} */ act) => (act ? { "Engram-Act": act } : {});

/**
 * @param {import("./taken.js").Taken[]} taken @param {string} key the Idempotency-Key @param {string} act
 * @param {{augment?: boolean, again?: boolean, measured?: boolean}} [how] `again`: also teach what is held already;
 *   `measured`: the label is a number to answer
 */
export function teach(brain, label, taken, key, act, { augment = false, again = true, measured = false } = {}) {
  const body = lesson(taken, label, measured);
  if (augment && body instanceof FormData) body.append("augment", "true");
  if (!again && body instanceof FormData) body.append("again", "false");
  return ask("POST", of(brain, "/examples"), { body, headers: { "Idempotency-Key": key, ...inAct(act) } });
}

/** Teach that this is not of a label. @param {import("./taken.js").Taken} taken @param {string} key */
export function teachNot(brain, label, taken, key) {
  const body = lesson([taken], label);
  if (body instanceof FormData) body.append("not", "true");
  else body.not = true;
  return ask("POST", of(brain, "/examples"), { body, headers: { "Idempotency-Key": key } });
}

/** @param {import("./taken.js").Taken[]} taken */
export async function predict(brain, taken, remember = false) {
  return (await ask("POST", of(brain, "/predict"), { body: question(taken, remember) })).answers;
}

/** A picture with a map over it of what is not like good ones. @param {import("./taken.js").Taken} taken @returns {Promise<Blob>} */
export async function heat(brain, taken) {
  return (await send("POST", of(brain, "/heat"), { body: files([taken]) })).blob();
}

/** A picture with boxes around what was found in it. @param {import("./taken.js").Taken} taken @returns {Promise<Blob>} */
export async function boxes(brain, taken) {
  return (await send("POST", of(brain, "/locate?draw=true"), { body: files([taken]) })).blob();
}

export const rename = (brain, old, to) => ask("POST", of(brain, ":rename"), { body: { old, new: to } });
export const relabel = (brain, id, label, act) =>
  ask("POST", of(brain, `/examples/${id}:relabel`), { body: { label }, headers: inAct(act) });
export const forgetExample = (brain, id) => ask("DELETE", of(brain, `/examples/${id}`));
export const forgetClass = (brain, label) => ask("DELETE", of(brain, `/classes?label=${seg(label)}`));
export const nameGroup = (brain, group, label) =>
  ask("POST", of(brain, `/unknowns/${group}:name`), { body: { label } });
/** Take back the last change, or one act, whatever came after it. */
export const undo = (brain, act) => ask("POST", of(brain, ":undo"), { headers: inAct(act) });
export const rollback = (brain, to) => ask("POST", of(brain, ":rollback"), { body: { to } });
export const meldBrain = (brain, other) => ask("POST", of(brain, ":meld"), { body: { brain: other } });
export const meldFile = (brain, file) =>
  ask("POST", of(brain, ":meld"), { body: new Blob([file], { type: "application/zip" }) });

/** Pictures and sounds travel as a form, everything else and labels that are numbers as JSON, which keeps their type. */
function lesson(taken, label, measured = false) {
  if (!taken[0].blob) return { ...typed(taken), ...(measured ? { numbers: taken.map(() => label) } : { label }) };
  const form = files(taken);
  form.append(measured ? "number" : "label", String(label));
  return form;
}

function question(taken, remember) {
  if (!taken[0].blob) return { ...typed(taken), top: 10, remember };
  const form = files(taken);
  form.append("top", "10");
  form.append("remember", String(remember));
  return form;
}

function files(taken) {
  const form = new FormData();
  for (const { kind, blob, name } of taken)
    form.append(kind === "sound" ? "sounds" : "images", blob, name ?? "camera.jpg");
  return form;
}

const typed = (taken) =>
  taken[0].kind === "text" ? { texts: taken.map(({ text }) => text) } : { vectors: taken.map(({ values }) => values) };
