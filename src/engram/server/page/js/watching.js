/** A camera that decides: when it looks, what several frames agree on, and which frames are worth teaching. */

import { frame, looked } from "./camera.js";
import { byId, say } from "./dom.js";
import { receive } from "./receive.js";
import { mayTeach, store } from "./state.js";

const [FRAMES, AGREED] = [5, 3];
const [EVERY, KEPT, LASTS] = [160, 12, 8000];
const SIZE = [16, 12];

let said = [];
let due = 0;
let lookedAt = 0;
let before = /** @type {Uint8ClampedArray | null} */ (null);
let still = Infinity;
let collecting = false;

export function mountWatching() {
  byId("region").addEventListener("click", () => store.set({ region: store.state.region ? null : "draw" }));
  byId("collect").addEventListener("click", collect);
  store.on(["camera", "brain", "shown"], ({ camera, shown }) => {
    said = [];
    byId("watch").hidden = !camera || Boolean(shown);
    byId("collect").hidden = !mayTeach();
  });
  store.on(["region"], ({ region }) => {
    byId("region").setAttribute("aria-pressed", String(Boolean(region)));
    const [left, top, width, height] = Array.isArray(region) ? region.map((share) => `${100 * share}%`) : [];
    byId("mark").hidden = !left;
    Object.assign(byId("mark").style, { left, top, width, height });
  });
}

/** Whether to look now: always, at an interval, or when something moves; then for as many frames as decide. */
export function isDue(video) {
  const when = byId("when").value;
  const now = performance.now();
  if (!when) return true;
  if (when === "motion" ? moved(video) : now - lookedAt > Number(when)) [due, lookedAt] = [FRAMES, now];
  return due > 0 && due-- > 0;
}

/** The newest of the last five answers that three of them agree on, or null. */
export function decided(asked) {
  said = [...said.slice(1 - FRAMES), asked];
  return said.findLast((one) => said.filter((other) => name(other) === name(one)).length >= AGREED) ?? null;
}

const name = ({ answer: { known, label, labels } }) => (known ? JSON.stringify(labels ?? label) : "");

/** Whether more has changed than noise does: three times the least that changed of late. */
function moved(video) {
  const now = glance(video);
  const change = before ? apart(now, before) : Infinity;
  before = now;
  still = Math.min(change, 1.01 * still + 0.01);
  return change > 3 * still + 1;
}

/** What the camera looks at, very small. */
function glance(video) {
  const pen = new OffscreenCanvas(SIZE[0], SIZE[1]).getContext("2d");
  pen.drawImage(video, ...looked(video), 0, 0, ...SIZE);
  return pen.getImageData(0, 0, ...SIZE).data;
}

const apart = (one, two) => one.reduce((sum, value, place) => sum + Math.abs(value - two[place]), 0) / one.length;

/** Draw from the stream for some seconds, or until the second click, and keep the pictures that differ most; then a
 * person says what they are. */
async function collect() {
  collecting = !collecting;
  if (!collecting) return;
  const [video, button, end] = [byId("video"), byId("collect"), performance.now() + LASTS];
  const kept = [];
  while (collecting && store.state.camera && performance.now() < end) {
    kept.push({ blob: frame(video), glance: glance(video) });
    if (kept.length > KEPT) kept.splice(mostAlike(kept), 1);
    say(button, `${kept.length} kept, ${Math.ceil((end - performance.now()) / 1000)} s`);
    await new Promise((done) => setTimeout(done, EVERY));
  }
  collecting = false;
  say(button, "Collect examples");
  const files = kept.map(({ blob }, place) => new File([blob], `camera-${place + 1}.jpg`, { type: blob.type }));
  if (store.state.camera) receive(files.map((file) => ({ file, folder: null, depth: 0 })));
}

/** The place of the later of the two that differ least. */
function mostAlike(kept) {
  let [least, at] = [Infinity, 0];
  kept.forEach((one, place) => {
    const far = Math.min(...kept.slice(0, place).map((other) => apart(one.glance, other.glance)));
    if (far < least) [least, at] = [far, place];
  });
  return at;
}
