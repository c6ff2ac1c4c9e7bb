/** Where things are: a button that asks for boxes around them, and a box drawn by hand, which takes what is in it. */

import { byId } from "./dom.js";
import { seen } from "./looking.js";
import { part } from "./pictures.js";
import { current, store } from "./state.js";

const LEAST = 16;

export function mountBoxes() {
  const button = byId("where");
  button.addEventListener("click", () => store.set({ where: !store.state.where }));
  store.on(["where", "brains", "brain", "camera", "shown"], ({ where, camera, shown }) => {
    button.hidden = !current()?.locates || !(camera || shown?.kind === "picture");
    button.setAttribute("aria-pressed", String(where));
  });
  mountDrawing();
}

/** Drag over what is before the brain: what is in the box is before it then, to be asked about and taught. */
function mountDrawing() {
  const stage = byId("stage");
  const mark = byId("mark");
  let start = /** @type {{x: number, y: number, taken: any} | null} */ (null);
  stage.addEventListener("pointerdown", (event) => {
    const taken = seen();
    if (taken?.kind !== "picture" || event.target.closest("button")) return;
    start = { ...within(stage, event), taken };
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (start) place(mark, box(start, within(stage, event)));
  });
  stage.addEventListener("pointerup", async (event) => {
    if (!start) return;
    const drawn = box(start, within(stage, event));
    const { taken } = start;
    start = null;
    const [wide, high] = [stage.clientWidth, stage.clientHeight];
    if (store.state.region && store.state.camera) {
      const region = [drawn.left / wide, drawn.top / high, drawn.width / wide, drawn.height / high];
      return store.set({ region: Math.min(drawn.width, drawn.height) < LEAST ? null : region });
    }
    mark.hidden = true;
    if (Math.min(drawn.width, drawn.height) < LEAST) return;
    const blob = await inside(taken.blob, drawn, wide, high);
    if (blob) store.set({ shown: { kind: "picture", blob, name: `part of ${taken.name ?? "what the camera showed"}` } });
  });
  stage.addEventListener("pointercancel", () => {
    start = null;
    mark.hidden = true;
  });
}

function within(stage, event) {
  const { left, top } = stage.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

function box(a, b) {
  return { left: Math.min(a.x, b.x), top: Math.min(a.y, b.y), width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y) };
}

function place(mark, { left, top, width, height }) {
  mark.hidden = Math.min(width, height) < LEAST;
  Object.assign(mark.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
}

/** What lies in a box of the stage, in which a picture is shown whole. @returns {Promise<Blob | null>} */
async function inside(blob, drawn, width, height) {
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const left = Math.max(0, (drawn.left - (width - bitmap.width * scale) / 2) / scale);
  const top = Math.max(0, (drawn.top - (height - bitmap.height * scale) / 2) / scale);
  const right = Math.min(bitmap.width, (drawn.left + drawn.width - (width - bitmap.width * scale) / 2) / scale);
  const bottom = Math.min(bitmap.height, (drawn.top + drawn.height - (height - bitmap.height * scale) / 2) / scale);
  const made = right - left > 1 && bottom - top > 1 ? part(bitmap, left, top, right - left, bottom - top) : null;
  bitmap.close();
  return made;
}
