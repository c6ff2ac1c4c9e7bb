/**
 * Files out of what was dropped or chosen, each with the folder that is its class, as in the terminal: the one right
 * below the folder that was dropped, or that folder itself.
 */

/** @typedef {{file: File, folder: string | null, depth: number}} Found `depth`: in how many folders it lay */

/** @param {DataTransfer} data @returns {Promise<Found[]>} */
export async function fromDrop(data) {
  // The entries must be taken before the first await: afterwards the browser has let go of them.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map((entry) => walk(entry, [])))).flat();
}

/** @param {FileList | File[]} files @returns {Found[]} */
export function fromFiles(files) {
  return [...files]
    .map((file) => ({ file, path: file.webkitRelativePath.split("/").slice(0, -1) }))
    .filter(({ file, path }) => visible(file) && path.every((name) => visible({ name })))
    .map(({ file, path }) => ({ file, folder: classOf(path), depth: path.length }));
}

export const isPicture = (file) => file.type.startsWith("image/");
export const isSound = (file) =>
  file.type.startsWith("audio/") || /\.(aiff?|flac|mp3|og[ag]|opus|wave?)$/i.test(file.name);
export const isZip = (file) => /zip/.test(file.type) || file.name.endsWith(".zip");

const visible = (/** @type {{name: string}} */ { name }) => !name.startsWith(".") && name !== "__MACOSX";

const classOf = (/** @type {string[]} */ path) => path[1] ?? path[0] ?? null;

/** @returns {Promise<Found[]>} */
async function walk(entry, /** @type {string[]} */ path) {
  if (!visible(entry)) return [];
  if (entry.isFile) {
    const file = await new Promise((give, fail) => entry.file(give, fail));
    return [{ file, folder: classOf(path), depth: path.length }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // a reader gives a hundred at a time
    const some = await new Promise((give, fail) => reader.readEntries(give, fail));
    if (!some.length) return found;
    for (const one of some) found.push(...(await walk(one, [...path, entry.name])));
  }
}
