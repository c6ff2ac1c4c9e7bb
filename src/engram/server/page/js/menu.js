/** A menu of actions beside a button: arrow keys move, Escape and a click elsewhere close. */

import { h, icon } from "./dom.js";

/**
 * @typedef {{text: string, icon?: string, act?: () => void, current?: boolean, href?: string, note?: string} | null} Item
 *   null for a line between
 * @param {HTMLElement} anchor
 * @param {Item[]} items
 */
export function openMenu(anchor, items) {
  const menu = h(
    "div",
    { popover: "auto", role: "menu", class: "menu" },
    items.map((item) => (item ? entry(item) : h("hr", { role: "separator" }))),
  );
  document.body.append(menu);
  anchor.setAttribute("aria-expanded", "true");
  menu.addEventListener("toggle", (event) => {
    if (event.newState === "open") return;
    menu.remove();
    anchor.setAttribute("aria-expanded", "false");
  });
  menu.addEventListener(
    "click",
    () => {
      menu.hidePopover();
      anchor.focus();
    },
    { capture: true },
  );
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...menu.querySelectorAll("[role=menuitem]")];
    const at = all.indexOf(document.activeElement);
    all[(at + step + all.length) % all.length].focus();
  });
  menu.showPopover();
  place(menu, anchor.getBoundingClientRect());
  menu.querySelector("[role=menuitem]").focus();
}

function entry({ text, icon: name, act, current, note }) {
  return h(
    "button",
    { type: "button", role: "menuitem", "aria-current": current ? "true" : null, on: { click: () => act?.() } },
    name && icon(name),
    h("span", {}, text),
    note && h("span", { class: "soft small note" }, note),
  );
}

/** Below the anchor, or above it where there is no room; always within the window. */
function place(menu, anchor) {
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(Math.max(12, anchor.left), innerWidth - width - 12);
  const below = anchor.bottom + 6;
  const top = below + height < innerHeight - 8 ? below : Math.max(8, anchor.top - height - 6);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}
