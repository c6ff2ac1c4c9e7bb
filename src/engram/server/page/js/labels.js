/** Names of classes: texts, or whole numbers in a brain that was taught with numbers. */

/** @typedef {string | number} Label */

/**
 * The label that a person means by what they typed.
 * @param {string} typed
 * @param {{label: Label}[]} classes
 * @returns {Label | null} null where nothing was typed
 */
export function labelFrom(typed, classes) {
  const text = typed.trim().normalize("NFC");
  if (!text) return null;
  const numbers = classes.length > 0 && classes.every(({ label }) => typeof label === "number");
  return numbers && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}
