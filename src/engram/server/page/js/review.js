/** Labels that are likely wrong, one after the other: each is corrected, or kept, by one click. */

import { asked } from "./dialogs.js";
import { h, icon, keyed, say } from "./dom.js";
import * as routes from "./routes.js";
import { store } from "./state.js";
import { relabel } from "./teaching.js";
import { showThumbnail } from "./thumbnails.js";
import { toast } from "./toasts.js";

/** What was looked at on this page and found right: brain, example and label. @type {Set<string>} */
const settled = new Set();

export function review() {
  const brain = store.state.brain;
  const name = ({ label, example }) => `${brain} ${example.id} ${typeof label} ${label}`;
  /** @type {any[]} */
  let suspects = [];
  const list = h("ul", { class: "suspects", "aria-label": "Labels that are likely wrong" });
  const said = h("p", { class: "soft", role: "status" }, "Each example is predicted as if it had not been taught…");

  async function load() {
    try {
      const found = (await routes.audit(brain)).suspects;
      suspects = found.filter((one) => one.margin > 0 && one.example && !settled.has(name(one)));
      render();
    } catch (error) {
      toast(error.message, { problem: true });
    }
  }

  function render() {
    keyed(list, suspects, name, make);
    say(
      said,
      suspects.length
        ? "The label most likely to be wrong comes first. A difficult example can be listed although its label is right."
        : "Nothing suspicious is left.",
    );
  }

  function gone(one) {
    suspects = suspects.filter((other) => other !== one);
    render();
  }

  function make(one) {
    const { label, other, example } = one;
    const face = example.thumbnail
      ? h("img", { alt: "", width: 72, height: 72 })
      : h("span", { class: "words" }, example.source ?? `Example ${example.id}`);
    if (example.thumbnail) showThumbnail(face, routes.thumbnail(brain, example.id));
    const move = async () => (await relabel([example.id], other)) && gone(one);
    const keep = () => {
      settled.add(name(one));
      gone(one);
    };
    return h(
      "li",
      { class: "row" },
      face,
      h("span", { class: "grow" }, `Taught as ${label}`),
      h(
        "button",
        { type: "button", class: "primary teaches corrects", "aria-label": `${example.id} is ${other}`, on: { click: move } },
        `It is ${other}`,
      ),
      h("button", { type: "button", "aria-label": `${example.id} is ${label}`, on: { click: keep } }, "Keep"),
    );
  }

  load();
  return asked(
    (answer) => [
      h(
        "header",
        { class: "row spread" },
        h("h2", {}, "Review labels"),
        h(
          "button",
          { type: "button", class: "plain square", "aria-label": "Close", autofocus: true, on: { click: () => answer(null) } },
          icon("close"),
        ),
      ),
      said,
      list,
    ],
    true,
  );
}
