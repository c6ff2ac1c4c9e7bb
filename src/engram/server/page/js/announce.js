/** What a screen reader says: never the same twice in a row, and not more often than one can listen. */

import { byId } from "./dom.js";

const PAUSE = 2000;
let waiting = "";
let timer = 0;

/** Say a text, at once or when the last one had its time; of several meanwhile, the last. */
export function announce(text) {
  waiting = text;
  if (!timer) speak();
}

function speak() {
  const place = byId("announcer");
  if (waiting && waiting !== place.textContent) place.textContent = waiting;
  waiting = "";
  timer = window.setTimeout(() => {
    timer = 0;
    if (waiting) speak();
  }, PAUSE);
}
