/** Which brain is open: choosing, making, melding, exporting. */

import { send, setToken } from "./api.js";
import { asked, told } from "./dialogs.js";
import { byId, h, say } from "./dom.js";
import { openMenu } from "./menu.js";
import { receive } from "./receive.js";
import { fromFiles } from "./dropped.js";
import * as routes from "./routes.js";
import { current, may, mayTeach, store } from "./state.js";
import { loadBrains } from "./sync.js";
import { count, meldBrain } from "./teaching.js";
import { showMessages, toast } from "./toasts.js";

export function mountBrains() {
  const button = byId("brain-button");
  button.addEventListener("click", async () => {
    await loadBrains().catch(() => {});
    openMenu(button, [...store.state.brains.map(asItem), null, { text: "New brain…", icon: "plus", act: createBrain }]);
  });
  byId("more-button").addEventListener("click", () => openMenu(byId("more-button"), actions()));
  byId("meld-file").addEventListener("change", (event) => {
    receive(fromFiles(event.target.files));
    event.target.value = "";
  });
  byId("first-brain").addEventListener("click", createBrain);
  store.on(["brain", "brains"], ({ brain, brains }) => {
    say(byId("brain-name"), brain ?? "No brain");
    document.title = brain ? `${brain} · Engram` : "Engram";
    const one = current();
    say(byId("brain-size"), one ? `${count(one.examples, "example")} · ${count(one.classes, "class")}` : "");
    byId("no-brain").hidden = brains.length > 0 || brain !== null;
    const problem =
      one && one.state !== "ready"
        ? (one.problem ?? "This brain is being opened…")
        : one?.follower
          ? "Read only: this brain is taught by another program, and this page shows its changes."
          : "";
    say(byId("brain-state"), problem);
    byId("brain-state").hidden = !problem;
    document.body.classList.toggle("reading", !mayTeach());
    document.body.classList.toggle("not-correcting", !may("correct"));
    document.body.classList.toggle("not-ruling", !may("admin"));
    byId("to-unknowns").hidden = !may("teach");
    byId("to-history").hidden = !may("teach", "export");
  });
}

function asItem(one) {
  return {
    text: one.name,
    note: count(one.examples, "example"),
    current: one.name === store.state.brain,
    act: () => goTo(one.name),
  };
}

/** Open a brain, in the view that is open. */
export function goTo(name) {
  location.hash = `#/${encodeURIComponent(name)}/${store.state.view}`;
}

function actions() {
  const { brain, brains } = store.state;
  const others = brains.filter(({ name, takes }) => name !== brain && (takes === null || takes === current()?.takes));
  const melds = [
    { text: "Meld a brain's file…", icon: "meld", act: () => byId("meld-file").click() },
    ...others
      .slice(0, 5)
      .map(({ name }) => ({ text: `Meld ${name} into this`, icon: "meld", act: () => meldBrain(name) })),
    null,
  ];
  const exports = [
    { text: "Export the brain (zip)", icon: "export", act: () => download("zip") },
    { text: "Export what was taught (JSON lines)", icon: "export", act: () => download("jsonl") },
    null,
  ];
  return [
    ...(may("admin") ? melds : []),
    ...(may("export") ? exports : []),
    { text: "Messages", act: showMessages },
    { text: "Keyboard shortcuts", note: "?", act: () => document.dispatchEvent(new CustomEvent("shortcuts")) },
    { text: "Enter a token…", act: enterToken },
  ];
}

async function createBrain() {
  const name = h("input", {
    autofocus: true,
    required: true,
    pattern: "[A-Za-z0-9][A-Za-z0-9_\\-]{0,63}",
    autocomplete: "off",
    placeholder: "flowers",
    id: "brain-new-name",
    title: "Letters, digits, - and _",
  });
  const backbone = h("input", {
    id: "brain-backbone",
    placeholder: "decided by what is taught first",
    autocomplete: "off",
  });
  const made = await asked((answer) =>
    h(
      "form",
      {
        on: {
          submit: (event) => {
            event.preventDefault();
            answer([name.value, backbone.value.trim() || null]);
          },
        },
      },
      h("h2", {}, "A new brain"),
      h("div", {}, h("label", { for: "brain-new-name" }, "Name"), name),
      h(
        "details",
        {},
        h("summary", {}, "Backbone"),
        h(
          "p",
          { class: "soft small" },
          "If this is empty, the first examples decide: pictures use EfficientNet-Lite0 where the extra [photos] is installed, else the photo backbone that comes with Engram; sounds use log-mel; numbers are used as they are. `engram backbone list` names the backbones on this machine.",
        ),
        backbone,
      ),
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", on: { click: () => answer(null) } }, "Cancel"),
        h("button", { class: "primary" }, "Create"),
      ),
    ),
  );
  if (!made) return;
  try {
    await routes.createBrain(...made);
    await loadBrains();
    goTo(made[0]);
  } catch (error) {
    toast(error.message, { problem: true, label: "Try again", act: createBrain });
  }
}

/** Through fetch, so that a token goes along. */
async function download(format) {
  const { brain } = store.state;
  try {
    const url = URL.createObjectURL(await (await send("GET", routes.exportPath(brain, format))).blob());
    h("a", { href: url, download: `${brain}.${format}` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    toast(`Exported ${brain}.`);
  } catch (error) {
    toast(error.message, { problem: true });
  }
}

/** Ask for the token. @returns {Promise<string | null>} */
export function askToken() {
  return told({
    title: "This server asks for a token",
    text: "Ask the person who runs the server for a token. This page keeps it until the tab is closed.",
    label: "Token",
    yes: "Use it",
    secret: true,
  });
}

async function enterToken() {
  const given = await askToken();
  if (!given) return;
  setToken(given);
  location.reload();
}
