/**
 * Drops of files that were cut short, by a page that was closed, say: which files were not taught is kept in the browser
 * until they are, and told when the page is opened again.
 */

const KEY = "engram.unfinished";

/** @typedef {{brain: string, total: number, missing: string[]}} Drop */

/** @returns {Record<string, Drop>} by act */
function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {}; // not allowed, or written by something else
  }
}

function write(/** @type {Record<string, Drop>} */ drops) {
  try {
    localStorage.setItem(KEY, JSON.stringify(drops));
  } catch {
    // No room, or not allowed: the files are taught all the same.
  }
}

export const nameOf = (/** @type {{label: any, name?: string}} */ { label, name }) => `${label}/${name ?? ""}`;

/** Begin a drop; what is returned ends it: until then no other page takes it for one that was cut short. */
export function begin(act, brain, /** @type {string[]} */ files) {
  write({ ...read(), [act]: { brain, total: files.length, missing: files } });
  let end = () => {};
  const ended = new Promise((done) => (end = () => done(null)));
  navigator.locks?.request(`${KEY}.${act}`, () => ended);
  return end;
}

/** These files of a brain are taught, or never will be, whichever drop they are of. */
export function settle(brain, /** @type {string[]} */ files) {
  const drops = read();
  const gone = new Set(files);
  for (const [act, drop] of Object.entries(drops)) {
    if (drop.brain !== brain) continue;
    drop.missing = drop.missing.filter((file) => !gone.has(file));
    if (!drop.missing.length) delete drops[act];
  }
  write(drops);
}

/** The drops of a brain that no page works on. @returns {Promise<Drop[]>} */
export async function cutShort(brain) {
  const held = (await navigator.locks?.query())?.held ?? [];
  const going = new Set(held.map(({ name }) => name));
  return Object.entries(read())
    .filter(([act, drop]) => drop.brain === brain && !going.has(`${KEY}.${act}`))
    .map(([, drop]) => drop);
}
