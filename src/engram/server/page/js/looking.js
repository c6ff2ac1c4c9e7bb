/** Asking all the time: what the camera shows, what the microphone hears, a picture, or what is typed; and again whenever the brain has learned. */

import { Away } from "./api.js";
import { frame } from "./camera.js";
import { byId } from "./dom.js";
import { justHeard } from "./microphone.js";
import { boxes, heat, predict } from "./routes.js";
import { current, mayTeach, store } from "./state.js";
import { decided, isDue } from "./watching.js";

const SPACING = 120;
const UNKNOWN_FOR = 1500;
const REMEMBER_EVERY = 4000;

let unknownSince = 0;
let rememberedAt = 0;
let last = "";

/** What is before the brain now. @returns {import("./taken.js").Taken | null} */
export function seen() {
  const { paused, shown, camera, microphone, recording } = store.state;
  if (paused ?? shown) return paused ?? shown;
  const blob = microphone && !recording ? justHeard() : null;
  if (blob) return { kind: "sound", blob, name: "microphone.wav" };
  const video = byId("video");
  return camera && video.videoWidth ? { kind: "picture", blob: frame(video) } : null;
}

/** Look and answer until the page is closed. */
export async function keepLooking() {
  for (;;) {
    if (document.visibilityState === "visible" && store.state.view === "teach" && store.state.brain) await look();
    await new Promise((done) => setTimeout(done, SPACING));
  }
}

async function look() {
  const { shown, paused, camera, microphone, seq, brain, online } = store.state;
  if (paused || !online || current()?.state !== "ready") return;
  const live = (camera || microphone) && !shown;
  const watching = camera && !shown;
  if (watching && !isDue(byId("video"))) return;
  const taken = seen();
  if (!taken || !brain) {
    if (store.state.answer) store.set({ answer: null });
    last = "";
    return;
  }
  const question = live ? "" : `${identity(taken)} ${seq} ${store.state.where}`;
  if (!live && question === last) return;
  try {
    const remember = mayTeach() && store.state.classes.length > 0 && toRemember(live);
    const [answer] = await predict(brain, [taken], remember);
    const over = taken.kind === "picture" ? await drawnOver(brain, taken) : null;
    last = question;
    noteUnknown(answer, remember);
    const now = store.state;
    if (now.brain !== brain || now.shown !== shown || now.paused) return;
    const asked = { answer, taken, heat: over };
    const agreed = watching ? decided(asked) : asked;
    store.set({ answer: agreed, question: agreed ? null : "Undecided" });
  } catch (error) {
    if (error instanceof Away) return;
    last = question;
    store.set({ answer: null, question: error.message });
  }
}

/** The picture with what it is not like good ones in, or, if a person asks where things are, with boxes around them. */
async function drawnOver(brain, taken) {
  if (current()?.sees_places) return heat(brain, taken);
  return store.state.where && current()?.locates ? boxes(brain, taken) : null;
}

/** The unknowns of camera and microphone are kept for the inbox when they stay for a while, and not over and over. */
function toRemember(live) {
  if (!live) return Boolean(store.state.shown?.blob);
  const now = performance.now();
  return unknownSince > 0 && now - unknownSince > UNKNOWN_FOR && now - rememberedAt > REMEMBER_EVERY;
}

function noteUnknown(answer, remembered) {
  if (answer.known) unknownSince = 0;
  else unknownSince ||= performance.now();
  if (remembered && !answer.known) rememberedAt = performance.now();
}

const ids = new WeakMap();
let nextId = 1;

function identity(taken) {
  if (!ids.has(taken)) ids.set(taken, nextId++);
  return ids.get(taken);
}
