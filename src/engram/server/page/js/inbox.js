/** The inbox of unknowns: what the brain had no name for, in piles of things alike, to be named by keyboard. */

import { byId, h, keyed, say } from "./dom.js";
import { labelFrom } from "./labels.js";
import { unknownThumbnail } from "./routes.js";
import { current, store } from "./state.js";
import { count, namePile } from "./teaching.js";
import { showThumbnail } from "./thumbnails.js";

const FACES = 8;
const HINT = "Inputs that this brain did not know, in groups of similar ones. Write a label for a group and press Enter to teach it.";
const PARTS_HINT =
  "Pictures that are not like the good ones, in groups of similar ones. Naming teaches a group as good ones of a product: name only groups that were refused by mistake, by a label that was taught. Leave faults unnamed.";

export function mountInbox() {
  store.on(["brains", "brain"], () => {
    const unknowns = current()?.unknowns ?? 0;
    byId("unknown-badge").hidden = !unknowns;
    say(byId("unknown-badge"), unknowns);
    byId("unknown-badge").setAttribute("aria-label", `${unknowns} waiting`);
  });
  store.on(["piles", "loaded", "view", "brains", "brain"], ({ piles, loaded }) => {
    say(byId("inbox-hint"), current()?.sees_places ? PARTS_HINT : HINT);
    byId("no-unknowns").hidden = !loaded || piles.length > 0;
    byId("inbox-hint").hidden = !piles.length;
    keyed(byId("piles"), piles, ({ group }) => group, make, update);
    focusIfWanted();
  });
}

let wanted = false;

/** Put the focus where the next pile is named, as soon as it is there. */
export function focusPile() {
  wanted = true;
  focusIfWanted();
}

function focusIfWanted() {
  const field = byId("piles").querySelector("input");
  if (!wanted || !field) return;
  field.focus();
  wanted = document.activeElement !== field;
}

function make({ group }) {
  const field = h("input", { list: "labels", maxlength: "256", placeholder: current()?.sees_places ? "A good …" : "What is this?", autocomplete: "off" });
  const pile = h(
    "li",
    { class: "pile" },
    h("ul", { class: "faces" }),
    h("p", { class: "small soft alike" }),
    h(
      "form",
      {
        class: "row teaches",
        on: {
          submit: (event) => {
            event.preventDefault();
            name(pile, field);
          },
        },
      },
      field,
      h("button", { class: "primary" }, "Name"),
    ),
  );
  pile.group = group;
  return pile;
}

function update(pile, one) {
  const { members, likeness } = one;
  pile.one = one;
  const rest = members.length > FACES ? [{ number: 0, rest: members.length - FACES + 1 }] : [];
  keyed(
    pile.querySelector(".faces"),
    [...members.slice(0, FACES - rest.length), ...rest],
    (one) => (one.rest ? `+${one.rest}` : one.number),
    face,
  );
  const alike = members.length === 1 || likeness == null ? "" : `, likeness ${likeness.toFixed(2)}`;
  say(pile.querySelector(".alike"), `${count(members.length, "unknown")}${alike}`);
  pile.querySelector("input").setAttribute("aria-label", `Name this group of ${members.length}`);
}

function face({ number, source, thumbnail, rest }) {
  if (rest) return h("li", { class: "rest number" }, `+${rest}`);
  if (!thumbnail) return h("li", { class: "words" }, source ?? `Unknown ${number}`);
  const image = h("img", { alt: source ?? "", width: 96, height: 96 });
  showThumbnail(image, unknownThumbnail(store.state.brain, number));
  return h("li", {}, image);
}

/** Name a pile, and go on to the next. */
async function name(pile, field) {
  const label = labelFrom(field.value, store.state.classes);
  if (label === null) return field.focus();
  const next = pile.nextElementSibling ?? pile.previousElementSibling;
  if (!(await namePile(pile.one, label))) return field.focus();
  store.set({ piles: store.state.piles.filter(({ group }) => group !== pile.group) });
  (next?.querySelector("input") ?? byId("main")).focus();
}
