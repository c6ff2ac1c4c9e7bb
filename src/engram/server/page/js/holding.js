/** Teaching while something is held: the camera's frames several times a second, what the microphone heard meanwhile as
 * one sound, anything else once. */

import { announce } from "./announce.js";
import { byId } from "./dom.js";
import { recorded } from "./hearing.js";
import { seen } from "./looking.js";
import { now } from "./microphone.js";
import { store } from "./state.js";
import { count, newAct, teach } from "./teaching.js";
import { toast } from "./toasts.js";
import { typedIn } from "./taken.js";

const EVERY = 170;

/**
 * @param {() => import("./labels.js").Label | null} label asked for when the holding starts
 * @returns {{start: () => void, stop: () => void}}
 */
export function teaching(label) {
  let held = 0;
  let recording = /** @type {{name: import("./labels.js").Label, begin: number} | null} */ (null);
  return {
    async start() {
      const name = label();
      if (name === null) return;
      if (store.state.microphone && !store.state.shown) {
        recording = { name, begin: now() };
        return store.set({ holding: name, recording: true, answer: null });
      }
      const mine = ++held;
      const act = newAct();
      let taught = 0;
      store.set({ holding: name });
      do {
        const began = performance.now();
        const taken = shownNow();
        if (!taken.length) break;
        teach(name, taken, act);
        taught += taken.length;
        flash();
        if (taken[0].kind !== "picture" || store.state.shown || store.state.paused) break;
        await new Promise((done) => setTimeout(done, Math.max(0, EVERY - (performance.now() - began))));
      } while (mine === held);
      store.set({ holding: null });
      if (taught) announce(`${count(taught, "example")} of ${name} taught.`);
    },
    stop() {
      held++;
      if (!recording) return;
      const { name, begin } = recording;
      const taken = recorded(begin);
      recording = null;
      if (taken) teach(name, [taken]);
      store.set({ holding: null, recording: false });
      if (taken) announce(`1 example of ${name} taught.`);
    },
  };
}

function shownNow() {
  const field = byId("typed-field");
  if (!byId("typed").hidden) {
    try {
      const kind = field.dataset.kind;
      const taken = typedIn(kind, field.value);
      if (taken.length) return taken;
    } catch (error) {
      toast(error.message, { problem: true });
      return [];
    }
    toast("Write something first: it is taught when you press the button.");
    field.focus();
    return [];
  }
  const taken = seen();
  if (!taken) toast("Show me something first: turn on the camera or the microphone, or drop a picture or a sound.");
  return taken ? [taken] : [];
}

/** A short glow around the stage for each frame that was taken. */
function flash() {
  const stage = byId("stage");
  stage.classList.remove("flash");
  void stage.offsetWidth; // so that the animation starts anew
  stage.classList.add("flash");
}
