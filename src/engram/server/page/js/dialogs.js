/** Questions that need an answer before anything goes on. */

import { h } from "./dom.js";

/**
 * Ask whether something that cannot be undone is meant. @returns {Promise<boolean>}
 */
export function confirmed(title, text, yes) {
  return asked((answer) => [
    h("h2", {}, title),
    h("p", { class: "soft" }, text),
    h(
      "div",
      { class: "row end" },
      h("button", { type: "button", autofocus: true, on: { click: () => answer(false) } }, "Keep"),
      h("button", { type: "button", class: "danger", on: { click: () => answer(true) } }, yes),
    ),
  ]).then(Boolean);
}

/**
 * Ask for a line of text. @returns {Promise<string | null>} null where it was not given
 * @param {{title: string, text?: string, label: string, value?: string, yes: string, secret?: boolean, list?: string}} question
 */
export function told({ title, text, label, value = "", yes, secret = false, list }) {
  return asked((answer) => {
    const field = h("input", {
      name: "text",
      required: true,
      autofocus: true,
      value,
      list,
      autocomplete: "off",
      type: secret ? "password" : "text",
      "aria-label": label,
      placeholder: label,
      maxlength: "256",
    });
    return [
      h(
        "form",
        {
          on: {
            submit: (event) => {
              event.preventDefault();
              answer(field.value.trim() || null);
            },
          },
        },
        h("h2", {}, title),
        text && h("p", { class: "soft" }, text),
        field,
        h(
          "div",
          { class: "row end" },
          h("button", { type: "button", on: { click: () => answer(null) } }, "Cancel"),
          h("button", { class: "primary" }, yes),
        ),
      ),
    ];
  });
}

/**
 * A dialog that closes with an answer; Escape answers null.
 * @param {(answer: (value: any) => void) => any[]} content
 * @returns {Promise<any>}
 */
export function asked(content, wide = false) {
  return new Promise((done) => {
    let given = null;
    const dialog = h("dialog", { class: wide ? "wide" : "" });
    const answer = (value) => {
      given = value;
      dialog.close();
    };
    dialog.append(h("div", { class: "stack" }, content(answer)));
    const title = dialog.querySelector("h2");
    if (title) dialog.setAttribute("aria-label", title.textContent ?? "");
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(given);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
