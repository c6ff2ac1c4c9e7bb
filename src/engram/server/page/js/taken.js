/**
 * One thing that is shown to a brain: a picture, a sound, a text, or a row of numbers.
 * @typedef {{kind: "picture" | "sound", blob: Blob, name?: string} | {kind: "text", text: string} | {kind: "vector", values: number[]}} Taken
 */

/** What a brain of this kind is shown by typing: each line a text, or a row of numbers.
 * @param {"text" | "vectors"} kind
 * @param {string} typed
 * @returns {Taken[]}
 * @throws {Error} a line that is no row of numbers
 */
export function typedIn(kind, typed) {
  const lines = typed
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  return lines.map((line, place) =>
    kind === "text" ? { kind: "text", text: line } : { kind: "vector", values: numbers(line, place) },
  );
}

function numbers(line, place) {
  const values = line
    .replace(/^\[|\]$/g, "")
    .split(/[\s,;]+/)
    .filter(Boolean)
    .map(Number);
  if (values.every(Number.isFinite)) return values;
  throw new Error(`Line ${place + 1} holds something that is not a number. Numbers are separated by commas or spaces.`);
}
