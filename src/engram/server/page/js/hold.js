/** Press and hold: by pointer, by Space or Enter, or by one click from assistive technology. */

/**
 * @param {HTMLElement} button
 * @param {{start: () => void, stop: () => void}} act `stop` comes once after each `start`
 */
export function onHold(button, { start, stop }) {
  let held = false;
  const down = () => {
    if (!held) {
      held = true;
      button.classList.add("held");
      start();
    }
  };
  const up = () => {
    if (held) {
      held = false;
      button.classList.remove("held");
      stop();
    }
  };
  const holds = (event) => event.key === " " || event.key === "Enter";

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    down();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(end, up);
  button.addEventListener("keydown", (event) => {
    if (holds(event)) {
      event.preventDefault();
      down();
    }
  });
  button.addEventListener("keyup", (event) => {
    if (holds(event)) {
      event.preventDefault();
      up();
    }
  });
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  // A screen reader clicks without pressing: that teaches once.
  button.addEventListener("click", (event) => {
    if (event.detail === 0 && !held) {
      down();
      up();
    }
  });
  return { down, up };
}
