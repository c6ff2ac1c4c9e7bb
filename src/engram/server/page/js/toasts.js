/** Short notes at the foot of the page: what was done, with a way back, and what went wrong. */

import { announce } from "./announce.js";
import { byId, h, icon } from "./dom.js";

const LASTS = 6000;

/**
 * @param {string} text
 * @param {{label?: string, act?: () => void, problem?: boolean}} [more] a button, and whether something went wrong
 */
export function toast(text, { label, act, problem = false } = {}) {
  const close = () => node.remove();
  const node = h(
    "li",
    { class: problem ? "toast problem" : "toast" },
    h("p", {}, text),
    label &&
      h(
        "button",
        {
          type: "button",
          on: {
            click: () => {
              close();
              act?.();
            },
          },
        },
        label,
      ),
    h("button", { type: "button", class: "square", "aria-label": "Dismiss", on: { click: close } }, icon("close")),
  );
  const place = byId("toasts");
  while (place.children.length > 2) place.firstChild.remove();
  place.append(node);
  announce(text);
  // A note that asks for something stays while the pointer or the focus is on it.
  const fade = () => (node.matches(":hover, :focus-within") ? setTimeout(fade, 1000) : close());
  setTimeout(fade, problem ? 2 * LASTS : LASTS);
}
