/** Files out of what was dropped or chosen, with the folder that each lies in. */

/** @typedef {{file: File, folder: string | null}} Found */

/** @param {DataTransfer} data @returns {Promise<Found[]>} */
export async function fromDrop(data) {
  // The entries must be taken before the first await: afterwards the browser has let go of them.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  return (await Promise.all(entries.map((entry) => walk(entry, null)))).flat();
}

/** @param {FileList | File[]} files @returns {Found[]} */
export function fromFiles(files) {
  return [...files]
    .filter(visible)
    .map((file) => ({ file, folder: file.webkitRelativePath.split("/").at(-2) ?? null }));
}

export const isPicture = (/** @type {File} */ file) => file.type.startsWith("image/");
export const isZip = (/** @type {File} */ file) => /zip/.test(file.type) || file.name.endsWith(".zip");

const visible = (/** @type {{name: string}} */ { name }) => !name.startsWith(".");

/** @returns {Promise<Found[]>} */
async function walk(entry, folder) {
  if (!visible(entry)) return [];
  if (entry.isFile) return [{ file: await new Promise((give, fail) => entry.file(give, fail)), folder }];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // a reader gives a hundred at a time
    const some = await new Promise((give, fail) => reader.readEntries(give, fail));
    if (!some.length) return found;
    for (const one of some) found.push(...(await walk(one, entry.name)));
  }
}
