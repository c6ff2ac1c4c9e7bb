/** All examples of one class: choose some, move them to where they belong, or forget them. */

import { asked } from "./dialogs.js";
import { hue } from "./colours.js";
import { h, icon, keyed, say } from "./dom.js";
import { labelFrom } from "./labels.js";
import * as routes from "./routes.js";
import { mayTeach, store } from "./state.js";
import { forgetClass, forgetExamples, relabel } from "./teaching.js";
import { showThumbnail } from "./thumbnails.js";
import { toast } from "./toasts.js";

/** @typedef {{id: number, label: any, time: string, teacher: string | null, source: string | null, thumbnail: boolean}} Example */

export function showClass(/** @type {import("./labels.js").Label} */ label) {
  const brain = store.state.brain;
  const chosen = new Set();
  /** @type {Example[]} */
  let examples = [];
  /** @type {number | null} */
  let next = 0;

  const list = h("ul", { class: "examples", "aria-label": `Examples of ${label}` });
  const more = h("button", { type: "button", hidden: true, on: { click: () => load() } }, "Show more");
  const said = h("p", { class: "soft", role: "status" });
  const target = h("input", {
    list: "labels",
    maxlength: "256",
    placeholder: "another class",
    "aria-label": "Move to",
    autocomplete: "off",
  });
  const tools = h(
    "form",
    { class: "row chosen teaches corrects", hidden: true, on: { submit: move } },
    h("span", {}, "The right class:"),
    target,
    h("button", { class: "primary" }, "Move"),
    h("button", { type: "button", on: { click: forget } }, icon("forget"), "Forget"),
  );

  async function load() {
    try {
      const page = await routes.examples(brain, label, next ?? 0);
      examples = [...examples, ...page.examples];
      next = page.next;
      render();
    } catch (error) {
      toast(error.message, { problem: true });
    }
  }

  function render() {
    keyed(
      list,
      examples,
      ({ id }) => id,
      make,
      (item, { id }) => item.firstChild.setAttribute("aria-pressed", String(chosen.has(id))),
    );
    more.hidden = next === null;
    tools.hidden = !chosen.size || !mayTeach();
    say(
      said,
      chosen.size
        ? `${chosen.size} chosen`
        : examples.length
          ? "Click examples that have the wrong class, then move or forget them."
          : "No examples any more.",
    );
  }

  function make(/** @type {Example} */ one) {
    const when = new Date(one.time).toLocaleString();
    const about = [one.source, when, one.teacher && `taught by ${one.teacher}`].filter(Boolean).join(", ");
    const face = one.thumbnail
      ? h("img", { alt: "", width: 96, height: 96 })
      : h("span", { class: "words" }, one.source ?? `Example ${one.id}`);
    if (one.thumbnail) showThumbnail(face, routes.thumbnail(brain, one.id));
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          title: about,
          "aria-label": `Example ${one.id}, ${about}`,
          "aria-pressed": "false",
          on: {
            click: () => {
              if (!chosen.delete(one.id)) chosen.add(one.id);
              render();
            },
          },
        },
        face,
      ),
    );
  }

  async function move(event) {
    event.preventDefault();
    const to = labelFrom(target.value, store.state.classes);
    if (to === null || to === label) target.focus();
    else if (await relabel([...chosen], to)) gone();
  }

  async function forget() {
    if (await forgetExamples([...chosen])) gone();
  }

  function gone() {
    examples = examples.filter(({ id }) => !chosen.has(id));
    chosen.clear();
    target.value = "";
    render();
  }

  load();
  return asked(
    (answer) => [
      h(
        "header",
        { class: "row spread" },
        h("h2", { class: `named ${hue(label)}` }, String(label)),
        h(
          "button",
          {
            type: "button",
            class: "plain square",
            "aria-label": "Close",
            autofocus: true,
            on: { click: () => answer(null) },
          },
          icon("close"),
        ),
      ),
      said,
      list,
      more,
      tools,
      h(
        "footer",
        { class: "row end teaches corrects" },
        h(
          "button",
          {
            type: "button",
            class: "text",
            on: {
              click: async () => {
                const one = store.state.classes.find((other) => other.label === label);
                if (one && (await forgetClass(one))) answer(null);
              },
            },
          },
          `Forget all of ${label}…`,
        ),
      ),
    ],
    true,
  );
}
