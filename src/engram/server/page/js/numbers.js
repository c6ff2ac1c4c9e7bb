/** Numbers that a brain answers, to as many digits as their intervals make sense of. */

/**
 * @param {import("./state.js").Answer} answer
 * @returns {{value: string, between: string}} such as "249,312" and "231,450 to 267,021"
 */
export function numbers({ values, intervals, confidence }) {
  const parts = (values ?? []).map((value, place) => {
    const [low, high] = intervals?.[place] ?? [null, null];
    const open = low === null || high === null;
    const digits = open ? 2 : Math.min(9, Math.max(0, 2 - Math.floor(Math.log10(high - low || 1e-9))));
    const written = (number) =>
      number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    return { value: written(value), between: open ? "" : `${written(low)} to ${written(high)}` };
  });
  const chance = `${Math.round(100 * (confidence ?? 0))} %`;
  const between = parts.map((part) => part.between).filter(Boolean);
  return {
    value: parts.map((part) => part.value).join(", "),
    between: between.length ? `${between.join("; ")} (${chance})` : "no interval before the third example",
  };
}
