/** What is before the brain: the camera, the microphone, one picture or sound, or a field to write in. */

import { mountBoxes } from "./boxes.js";
import { closeCamera, openCamera } from "./camera.js";
import { byId, say } from "./dom.js";
import { fromFiles } from "./dropped.js";
import { receive } from "./receive.js";
import { current, store, takes, takesFiles } from "./state.js";
import { typedIn } from "./taken.js";
import { toast } from "./toasts.js";

export async function switchCamera(on = !store.state.camera) {
  const video = byId("video");
  if (!on) {
    closeCamera(video);
    store.set({ camera: false, paused: null, answer: null });
    return;
  }
  try {
    store.set({ shown: null, paused: null, microphone: false });
    await openCamera(video);
    store.set({ camera: true });
  } catch (error) {
    toast(error.message, { problem: true });
  }
}

export function mountStage() {
  for (const id of ["camera-on", "camera-off"]) byId(id).addEventListener("click", () => switchCamera());
  byId("shown-off").addEventListener("click", () => store.set({ shown: null, paused: null, answer: null }));
  for (const id of ["choose-files", "choose-folder"]) {
    byId(id).addEventListener("change", (event) => {
      receive(fromFiles(event.target.files));
      event.target.value = "";
    });
  }
  document.querySelectorAll("[data-opens]").forEach((button) => {
    const opens = button.dataset.opens ?? "";
    button.addEventListener("click", () => byId(opens).click());
  });
  store.on(["camera", "microphone", "shown", "paused", "brains", "brain"], renderStage);
  store.on(["answer"], ({ answer }) => hot(answer?.heat ?? null));
  mountBoxes();
  mountTyped();
}

let heatUrl = "";

/** Over what is before the brain, where it is not like good ones. @param {Blob | null} blob */
function hot(blob) {
  const image = byId("heat");
  image.hidden = !blob;
  URL.revokeObjectURL(heatUrl);
  heatUrl = blob ? URL.createObjectURL(blob) : "";
  if (blob) image.src = heatUrl;
  else image.removeAttribute("src");
}

let pictureUrl = "";
let pictured = /** @type {Blob | null} */ (null);

function renderStage({ camera, microphone, shown, paused }) {
  const still = paused ?? shown;
  const typing = writes();
  const live = camera && !still;
  byId("stage").hidden = typing;
  byId("typed").hidden = !typing;
  byId("video").hidden = !live;
  byId("stage-empty").hidden = camera || microphone || Boolean(still);
  byId("camera-on").hidden = takes() !== "pictures";
  byId("augment-line").hidden = takes() !== "pictures" || Boolean(current()?.sees_places);
  say(byId("files-say"), takes() === "sound" ? "Sounds" : "Pictures");
  byId("choose-files").accept = takes() === "sound" ? "audio/*" : "image/*,audio/*";
  byId("camera-off").hidden = !live;
  byId("shown-off").hidden = !shown;
  byId("paused").hidden = !paused || !camera;
  picture(still?.kind === "picture" ? still.blob : null, still?.name);
}

function picture(blob, name) {
  const image = byId("picture");
  image.hidden = !blob;
  if (blob === pictured) return;
  URL.revokeObjectURL(pictureUrl);
  pictured = blob;
  pictureUrl = blob ? URL.createObjectURL(blob) : "";
  if (blob) image.src = pictureUrl;
  else image.removeAttribute("src");
  image.alt = name ? `The picture ${name}` : "What the camera showed";
}

/** Whether what is taught is written, not shown. A new brain takes either: numbers, if a person says so. */
function writes() {
  byId("write-numbers").hidden = current()?.takes !== null;
  return !takesFiles() || byId("write-numbers").getAttribute("aria-pressed") === "true";
}

function mountTyped() {
  const field = byId("typed-field");
  const toggle = byId("write-numbers");
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
    store.set({ shown: null, answer: null, brains: [...store.state.brains] });
  });
  store.on(["brains", "brain"], () => {
    const text = takes() === "text";
    field.dataset.kind = text ? "text" : "vectors";
    say(byId("typed-label"), text ? "Write something" : "Write a row of numbers");
    field.placeholder = text ? "One text, or one on each line" : "0.9, 0.1, 0.4";
  });
  field.addEventListener("input", () => {
    try {
      store.set({ shown: typedIn(field.dataset.kind, field.value)[0] ?? null, question: null });
    } catch (error) {
      store.set({ shown: null, answer: null, question: error.message });
    }
  });
}
