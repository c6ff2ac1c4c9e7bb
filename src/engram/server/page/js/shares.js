/**
 * Shares for the bars. The server gives scores without a unit and the confidence in the best: the softmax whose largest
 * share is that confidence gives every other class its own.
 * @param {{label: any, score: number | null}[]} ranked best first
 * @param {number | null} confidence in the best, 0 to 1
 * @returns {Map<any, number>} label to share, 0 to 1
 */
export function shares(ranked, confidence) {
  const scored = ranked.filter(({ score }) => score != null);
  if (!scored.length) return new Map();
  const best = scored[0].score ?? 0;
  const gaps = scored.map(({ score }) => best - (score ?? 0));
  const spread = gaps.at(-1) || 1;
  const wanted = Math.min(0.9999, Math.max(confidence ?? 0, 1 / scored.length));
  const top = (sharpness) => 1 / gaps.reduce((sum, gap) => sum + Math.exp(-sharpness * gap), 0);
  let [low, high] = [0, 1e4 / spread];
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2;
    if (top(middle) < wanted) low = middle;
    else high = middle;
  }
  return new Map(scored.map(({ label }, i) => [label, top(high) * Math.exp(-high * gaps[i])]));
}
