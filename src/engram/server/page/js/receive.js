/** What is done with files, wherever they came from: dropped, chosen, pasted. */

import { asked } from "./dialogs.js";
import { h } from "./dom.js";
import { fromDrop, fromFiles, isPicture, isSound, isZip } from "./dropped.js";
import { labelFrom } from "./labels.js";
import { shrunk } from "./pictures.js";
import { store, takes, takesSound } from "./state.js";
import { count, meldFile, teachFiles } from "./teaching.js";
import { toast } from "./toasts.js";

/** @typedef {import("./dropped.js").Found} Found */

/**
 * Folders with folders in them, or several folders, teach a class by each folder's name, wherever they are dropped; else
 * what is dropped on a class teaches it. A single picture or sound is asked about; for several a person is asked what
 * they are; a brain's file is melded.
 * @param {Found[]} found
 * @param {import("./labels.js").Label | null} label
 */
export async function receive(found, label = null) {
  const zip = found.find(({ file }) => isZip(file));
  if (zip) return meldFile(zip.file);
  const sounds = takesSound() ? found.filter(({ file }) => isSound(file)) : [];
  const pictures = sounds.length ? sounds : found.filter(({ file }) => isPicture(file));
  if (!pictures.length)
    return toast(`These files contain no ${takes() === "sound" ? "sound" : "picture"} and no exported brain.`, {
      problem: true,
    });
  if (!sounds.length && takes() !== "pictures") return toast("This brain does not accept pictures.", { problem: true });
  const inside = pictures.filter(({ folder }) => folder);
  const loose = pictures.filter(({ folder }) => !folder);
  const classes = new Set(inside.map(({ folder }) => folder)).size > 1 || inside.some(({ depth }) => depth > 1);
  if (label !== null && !classes) return teachAll(pictures.map(({ file }) => ({ file, label })));
  if (inside.length) await teachFolders(inside);
  if (!loose.length) return;
  if (label !== null) return teachAll(loose.map(({ file }) => ({ file, label })));
  if (loose.length === 1) return show(loose[0].file);
  return askName(loose);
}

/** A file as it travels: a picture made small, a sound as it is. @returns {Promise<import("./taken.js").Taken>} */
const takenFrom = async (file) =>
  isSound(file)
    ? { kind: "sound", blob: file, name: file.name }
    : { kind: "picture", blob: await shrunk(file), name: file.name };

const what = (/** @type {Found[]} */ files) => (isSound(files[0].file) ? "sound" : "picture");

/** Look at one picture, or listen to one sound, and say what it is. */
export async function show(file) {
  try {
    store.set({ shown: await takenFrom(file), answer: null, paused: null });
    if (store.state.view !== "teach") location.hash = location.hash.replace(/[^/]*$/, "teach");
  } catch (error) {
    toast(error.message, { problem: true });
  }
}

/** Drops anywhere on the page, and pictures pasted. */
export function receiveEverywhere() {
  const target = (event) =>
    event.target.closest?.(".card[data-label]");
  const mark = (card) => {
    document.querySelectorAll(".card.over").forEach((other) => other.classList.toggle("over", other === card));
    card?.classList.add("over");
  };
  const over = (yes) => document.body.classList.toggle("dragging", yes);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    over(true);
    mark(target(event));
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) {
      over(false);
      mark(null);
    }
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    over(false);
    mark(null);
    const card = target(event);
    receive(await fromDrop(event.dataTransfer), card ? card.label : null);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      receive(fromFiles(files));
    }
  });
}

async function teachFolders(/** @type {Found[]} */ pictures) {
  const { classes } = store.state;
  const folders = Map.groupBy(pictures, ({ folder }) => folder);
  const lines = [...folders].map(([folder, inside]) =>
    h("li", { class: "row" }, h("strong", {}, folder), h("span", { class: "soft" }, count(inside.length, what(inside)))),
  );
  const yes = await asked((answer) => [
    h("h2", {}, `Teach ${count(pictures.length, what(pictures))} in ${count(folders.size, "class")}?`),
    h("p", { class: "soft" }, "Each folder is a class, and its name is the name of the class."),
    h("ul", { class: "folders" }, lines),
    h(
      "div",
      { class: "row end" },
      h("button", { type: "button", on: { click: () => answer(false) } }, "Cancel"),
      h("button", { type: "button", class: "primary", autofocus: true, on: { click: () => answer(true) } }, "Teach"),
    ),
  ]);
  if (yes) teachAll(pictures.map(({ file, folder }) => ({ file, label: labelFrom(folder ?? "", classes) })));
}

async function askName(/** @type {Found[]} */ pictures) {
  const field = h("input", {
    list: "labels",
    autofocus: true,
    required: true,
    maxlength: "256",
    autocomplete: "off",
    placeholder: "Name of the class",
    "aria-label": "Name of the class",
  });
  const typed = await asked((answer) =>
    h(
      "form",
      {
        on: {
          submit: (event) => {
            event.preventDefault();
            answer(field.value);
          },
        },
      },
      h("h2", {}, `What are these ${count(pictures.length, what(pictures))}?`),
      h("p", { class: "soft" }, "All of them are taught under one name."),
      field,
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", on: { click: () => answer(null) } }, "Cancel"),
        h("button", { class: "primary" }, "Teach"),
      ),
    ),
  );
  const label = labelFrom(typed ?? "", store.state.classes);
  if (label !== null) teachAll(pictures.map(({ file }) => ({ file, label })));
}

/** Teach one after the other; what cannot be read is told and left out. */
const teachAll = (lessons) => teachFiles(lessons, takenFrom);
