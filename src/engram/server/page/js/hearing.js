/** The microphone on the stage: turning it on, how loud it is now, and the button that records while it is held. */

import { byId, h } from "./dom.js";
import { onHold } from "./hold.js";
import { closeMicrophone, now, openMicrophone, since } from "./microphone.js";
import { store, takesSound } from "./state.js";
import { toast } from "./toasts.js";

const BARS = 40;

export async function switchMicrophone(on = !store.state.microphone) {
  if (!on) {
    closeMicrophone();
    store.set({ microphone: false, answer: null });
    return;
  }
  try {
    store.set({ shown: null, paused: null, answer: null });
    await openMicrophone(draw);
    store.set({ microphone: true });
  } catch (error) {
    closeMicrophone();
    toast(error.message, { problem: true });
  }
}

/** What was heard since `begin`. @returns {import("./taken.js").Taken | null} */
export function recorded(begin) {
  const blob = since(begin);
  return blob && { kind: "sound", blob, name: "microphone.wav" };
}

export function mountHearing() {
  byId("loudness").replaceChildren(...Array.from({ length: BARS }, () => h("span", {})));
  for (const id of ["microphone-on", "microphone-off"]) byId(id).addEventListener("click", () => switchMicrophone());
  let begin = 0;
  onHold(byId("record"), {
    start() {
      begin = now();
      store.set({ shown: null, answer: null, recording: true });
    },
    stop() {
      store.set({ shown: recorded(begin), recording: false });
    },
  });
  store.on(["microphone", "shown", "paused", "brains", "brain", "recording"], ({ microphone, shown, paused }) => {
    const still = paused ?? shown;
    if (!microphone) closeMicrophone();
    else if (!takesSound()) switchMicrophone(false);
    byId("hear").hidden = !microphone && still?.kind !== "sound";
    byId("record").hidden = !microphone;
    byId("microphone-off").hidden = !microphone;
    byId("microphone-on").hidden = !takesSound();
    byId("heard").hidden = still?.kind !== "sound";
    byId("heard").textContent = still?.kind === "sound" ? (still.name ?? "a recording") : "";
  });
}

/** One bar more at the right; the others move on. */
function draw(loudness) {
  const bars = byId("loudness");
  const bar = bars.firstElementChild;
  bar.style.setProperty("--loud", String(loudness));
  bars.append(bar);
}
