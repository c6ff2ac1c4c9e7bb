/** Teaching while something is held: the camera's frames several times a second, anything else once. */

import { announce } from "./announce.js";
import { byId } from "./dom.js";
import { seen } from "./looking.js";
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
  return {
    async start() {
      const name = label();
      if (name === null) return;
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
  if (!taken) toast("Show me something first: turn on the camera, or drop or paste a picture.");
  return taken ? [taken] : [];
}

/** A short glow around the stage for each frame that was taken. */
function flash() {
  const stage = byId("stage");
  stage.classList.remove("flash");
  void stage.offsetWidth; // so that the animation starts anew
  stage.classList.add("flash");
}
