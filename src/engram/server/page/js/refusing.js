/** How much of what is known may be refused: a slider under the curve of both errors; one request when it rests. */

import { byId, say } from "./dom.js";
import { current, may, store } from "./state.js";
import { setAlpha } from "./teaching.js";

/** @typedef {{alpha: number, refused: number, accepted: number | null, accepted_between: number[] | null}} Errors */

const RESTS = 300;
const HEIGHT = 100;

let timer = 0;
let sending = false;

export function mountRefusing() {
  const slider = byId("alpha");
  slider.addEventListener("input", () => {
    clearTimeout(timer);
    timer = 0;
    show(at(chosen()));
  });
  slider.addEventListener("change", () => {
    clearTimeout(timer);
    timer = window.setTimeout(send, RESTS);
  });
  store.on(["alpha"], ({ alpha }) => {
    byId("refusing").hidden = !alpha?.now;
    if (!alpha?.now) {
      clearTimeout(timer);
      timer = 0;
      return;
    }
    draw();
    say(byId("own-alphas"), alpha.alphas.map((one) => `${one.label}: ${percent(one.alpha)}`).join(", "));
    byId("own-alphas-line").hidden = !alpha.alphas.length;
    if (timer || sending || slider.matches(":active")) return; // someone is choosing
    slider.value = String(1000 * place(alpha.alpha));
    show(alpha.now);
  });
  store.on(["scopes", "brains", "brain"], () => {
    slider.disabled = !may("admin") || Boolean(current()?.follower);
  });
}

async function send() {
  timer = 0;
  sending = true;
  const share = chosen();
  const found = await setAlpha(share, percent(share));
  sending = false;
  store.set({ alpha: found ?? (store.state.alpha && { ...store.state.alpha }) }); // refused: back to what holds
}

/** Both errors at a share, between the points of the curve; the slider and the curve are by its logarithm. @returns {Errors} */
function at(share) {
  const points = known();
  const next = points.findIndex((one) => one.alpha >= share);
  if (next <= 0) return { ...points.at(next), alpha: share };
  const [before, after] = points.slice(next - 1, next + 1);
  const part = Math.log(share / before.alpha) / Math.log(after.alpha / before.alpha);
  const between = (/** @type {(one: Errors) => number} */ what) => what(before) + part * (what(after) - what(before));
  const accepted = before.accepted == null ? null : between((one) => one.accepted ?? 0);
  const range = before.accepted_between && [0, 1].map((end) => between((one) => one.accepted_between?.[end] ?? end));
  const refused = share * between(({ alpha, refused }) => refused / alpha);
  return { alpha: share, refused, accepted, accepted_between: range };
}

/** The points that the server gave, the present setting among them. */
function known() {
  const { curve, now } = store.state.alpha;
  return [...curve.filter(({ alpha }) => alpha !== now.alpha), now].sort((one, two) => one.alpha - two.alpha);
}

const ends = () => [store.state.alpha.curve[0].alpha, store.state.alpha.curve.at(-1).alpha];

/** Where on the slider a share is, from 0 to 1. */
function place(share) {
  const [least, most] = ends();
  return Math.min(1, Math.max(0, Math.log(share / least) / Math.log(most / least)));
}

/** The share that the slider stands at, in two digits. */
function chosen() {
  const [least, most] = ends();
  return Number((least * (most / least) ** (Number(byId("alpha").value) / 1000)).toPrecision(2));
}

function draw() {
  const points = known().filter(({ accepted }) => accepted != null);
  for (const id of ["curve", "curve-title"]) byId(id).hidden = !points.length;
  if (!points.length) return;
  const path = points.map(({ alpha, accepted }) => `${100 * place(alpha)} ${HEIGHT * (1 - accepted)}`).join("L");
  byId("curve-line").setAttribute("d", `M${path}`);
  byId("curve-ground").setAttribute("d", `M0 ${HEIGHT}L${path}L100 ${HEIGHT}Z`);
}

/** @param {Errors} errors */
function show({ alpha, refused, accepted, accepted_between }) {
  const strange = accepted == null ? "–" : percent(accepted);
  const [least, most] = (accepted_between ?? [0, 1]).map(percent);
  say(byId("refused"), percent(refused));
  say(byId("accepted"), strange);
  const told = `${percent(refused)} of what I know will be refused; `;
  const words = current()?.sees_places
    ? refused
      ? `${percent(refused)} of good pictures will be refused; what share of faults would pass cannot be told from good ones.`
      : "Nothing is refused yet: teach at least two good pictures of a product."
    : accepted == null
      ? `${told}how many strangers would be taken for something cannot be estimated reliably yet: that needs ${store.state.alpha.accepted_needs} classes.`
      : `${told}of strangers like your other classes, ${strange} would still be taken for something (judged by ${store.state.classes.length} classes: between ${least} and ${most}).`;
  say(byId("refusing-words"), words);
  byId("alpha").setAttribute("aria-valuetext", words);
  byId("curve").style.setProperty("--x", String(place(alpha)));
  byId("curve").style.setProperty("--y", String(1 - (accepted ?? 0)));
}

function percent(share) {
  if (share < 0.001) return share ? "under 0.1 %" : "0 %";
  return `${share < 0.1 ? Number((100 * share).toPrecision(2)) : Math.round(100 * share)} %`;
}
