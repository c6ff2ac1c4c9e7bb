/** The classes as cards: what they are called, how much of each is known, and the button to hold. */

import { hue } from "./colours.js";
import { showClass } from "./class_dialog.js";
import { told } from "./dialogs.js";
import { byId, h, icon, keyed, say } from "./dom.js";
import { onHold } from "./hold.js";
import { teaching } from "./holding.js";
import { labelFrom } from "./labels.js";
import { openMenu } from "./menu.js";
import { thumbnail } from "./routes.js";
import { shares } from "./shares.js";
import { current, may, store, takesFiles } from "./state.js";
import { forgetClass, rename } from "./teaching.js";
import { showThumbnail } from "./thumbnails.js";

export function mountCards() {
  mountNewClass();
  store.on(["classes", "waiting", "loaded", "brains"], ({ classes, waiting, loaded }) => {
    keyed(byId("cards"), classes, keyOf, make, (card, one, place) => {
      const coming = waiting.filter(({ label }) => label === one.label).length;
      update(card, { ...one, count: one.count + coming }, place);
    });
    byId("teach").classList.toggle("empty", loaded && !classes.length);
    byId("teach").classList.toggle("numbers", Boolean(current()?.numbers));
    byId("first").hidden = !loaded || classes.length > 0;
    byId("labels").replaceChildren(...classes.map(({ label }) => h("option", { value: String(label) })));
  });
  store.on(["answer", "holding"], ({ answer, holding }) => {
    const share = answer ? shares(answer.answer.ranked, answer.answer.confidence) : new Map();
    for (const card of byId("cards").children) {
      const known = answer?.answer.known ?? false;
      card.style.setProperty("--share", known ? (share.get(card.label) ?? 0) : 0);
      card.classList.toggle("answer", known && answer?.answer.label === card.label);
      card.classList.toggle("learning", holding === card.label);
    }
  });
}

const keyOf = (/** @type {import("./state.js").Class} */ { label }) => `${typeof label} ${label}`;

function make({ label }) {
  const button = h(
    "button",
    { type: "button", class: "hold teaches" },
    h("span", { class: "say" }),
    h("kbd", { "aria-hidden": "true" }),
  );
  const more = h(
    "button",
    {
      type: "button",
      class: "plain square more",
      "aria-label": `More about ${label}`,
      "aria-haspopup": "menu",
      on: { click: () => openMenu(more, actions(card)) },
    },
    icon("more"),
  );
  const all = h("button", { type: "button", class: "pictures", on: { click: () => showClass(label) } });
  const card = h(
    "li",
    { class: `card ${hue(label)}`, "data-label": String(label) },
    all,
    h("div", { class: "title" }, h("h3", {}, String(label)), h("span", { class: "count number" }), more),
    button,
  );
  card.label = label;
  card.hold = onHold(
    button,
    teaching(() => label),
  );
  return card;
}

function update(card, { label, count, newest }, place) {
  const pictures = takesFiles();
  say(card.querySelector(".count"), count.toLocaleString());
  say(card.querySelector(".say"), pictures ? "Hold to teach" : "Teach this");
  const key = card.querySelector(".hold kbd");
  key.hidden = place > 8;
  say(key, place + 1);
  const button = card.querySelector(".hold");
  button.setAttribute("aria-label", pictures ? `Hold to teach ${label}` : `Teach this as ${label}`);
  const all = card.querySelector(".pictures");
  all.setAttribute("aria-label", `${label}: see all ${count} examples`);
  all.classList.toggle("wordless", !pictures);
  if (!pictures) return say(all, "See all");
  keyed(
    all,
    newest,
    String,
    () => h("img", { alt: "", width: 96, height: 96 }),
    (image, id) => showThumbnail(image, thumbnail(store.state.brain, id)),
  );
}

function actions(card) {
  const one = store.state.classes.find(({ label }) => label === card.label);
  if (!one) return [];
  return [
    { text: "See all examples", icon: "grid", act: () => showClass(one.label) },
    ...(may("correct")
      ? [
          { text: "Rename…", icon: "pen", act: () => askRename(one) },
          null,
          { text: "Forget for good…", icon: "forget", act: () => forgetClass(one) },
        ]
      : []),
  ];
}

/** Ask for another name of a class. */
async function askRename({ label }) {
  const typed = await told({ title: `Rename ${label}`, label: "New name", value: String(label), yes: "Rename" });
  const to = labelFrom(typed ?? "", store.state.classes);
  if (to !== null && to !== label) await rename(label, to);
}

/** Whether what is typed is a number to answer: where the brain answers numbers, or knows nothing yet and it has a fraction. */
const measured = (typed) => current()?.numbers ?? (!store.state.classes.length && /^\s*-?\d*[.,]\d+\s*$/.test(typed));

/** The card that makes a class: a name, and the same button. */
function mountNewClass() {
  const field = byId("new-name");
  const act = teaching(() => {
    const label = measured(field.value) ? Number(field.value.replace(",", ".")) : labelFrom(field.value, store.state.classes);
    if (label === null || Number.isNaN(label)) field.focus();
    return Number.isNaN(label) ? null : label;
  });
  onHold(byId("new-hold"), act);
  store.on(["brains", "brain", "classes"], () => {
    say(byId("new-say"), takesFiles() ? "Hold to teach" : "Teach this");
    const named = current()?.numbers?.join(", ");
    field.placeholder = named ? `Its number (${named})` : "Name something new";
  });
  let named = /** @type {any} */ (null);
  store.on(["holding"], ({ holding }) => {
    if (named !== null && holding === null && String(named) === field.value.trim()) field.value = "";
    named = holding;
  });
  byId("new-class").addEventListener("submit", (event) => {
    event.preventDefault();
    act.start();
    act.stop();
  });
}
