/** A hue for each class that stays its own while the page is open: by its name, or the next one free. */

const HUES = 12;
const taken = new Map();

/** The CSS class of a label's hue. */
export function hue(label) {
  if (!taken.has(label)) taken.set(label, free(label));
  return `hue-${taken.get(label)}`;
}

function free(label) {
  const wanted = [...String(label)].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)) % 997, 7) % HUES;
  const used = new Set(taken.values());
  for (let step = 0; step < HUES; step++) if (!used.has((wanted + step) % HUES)) return (wanted + step) % HUES;
  return wanted;
}
