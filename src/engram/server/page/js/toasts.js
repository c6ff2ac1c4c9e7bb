/** Short notes at the foot of the page: what was done, with a way back, and what went wrong; all are kept in a list. */

import { announce } from "./announce.js";
import { asked } from "./dialogs.js";
import { byId, h, icon } from "./dom.js";

const LASTS = 6000;
const MOST = 200;

/** @type {{time: Date, text: string, list: string[], problem: boolean}[]} newest first */
const said = [];

/**
 * @param {string} text
 * @param {{label?: string, act?: () => void, problem?: boolean, list?: string[]}} [more] a button, whether something
 *   went wrong, and what it is about where that is much: files, say
 */
export function toast(text, { label, act, problem = false, list = [] } = {}) {
  said.unshift({ time: new Date(), text, list, problem });
  said.length = Math.min(said.length, MOST);
  if (list.length) [label, act] = ["Show all", showMessages];
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

/** Every note since the page was opened, newest first, with what it was about. */
export function showMessages() {
  asked((answer) => [
    h("h2", {}, "Messages"),
    said.length
      ? h(
          "ul",
          { class: "messages", tabindex: "0", "aria-label": "Messages" },
          said.map(({ time, text, list, problem }) =>
            h(
              "li",
              {},
              h("span", { class: "soft small number" }, time.toLocaleTimeString()),
              h("p", { class: problem ? "problem" : "" }, text),
              list.length > 0 &&
                h(
                  "ul",
                  { class: "small" },
                  list.map((line) => h("li", {}, line)),
                ),
            ),
          ),
        )
      : h("p", { class: "soft" }, "There are no messages yet."),
    h(
      "div",
      { class: "row end" },
      h("button", { type: "button", class: "primary", autofocus: true, on: { click: () => answer(null) } }, "Close"),
    ),
  ]);
}
