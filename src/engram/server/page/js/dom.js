/** Making and keeping elements: three small functions in place of a framework. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `on` holds listeners, `vars` CSS custom properties; true and false set and leave out an attribute.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...any} children nodes, texts, arrays of them; null and false are left out
 */
export function h(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** The same for a shape in an SVG. */
export function s(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

/** One of the icons in index.html. */
export function icon(name) {
  return s("svg", { class: "icon", "aria-hidden": "true" }, s("use", { href: `#icon-${name}` }));
}

/**
 * Bring the children of `parent` in line with `items`, keeping the element of each key, its focus and its text.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string | number} key
 * @param {(item: T) => Element} make
 * @param {(node: any, item: T, place: number) => void} [update]
 */
export function keyed(parent, items, key, make, update) {
  const before = kept.get(parent) ?? new Map();
  const now = new Map();
  items.forEach((item, place) => {
    const name = key(item);
    const node = before.get(name) ?? make(item);
    update?.(node, item, place);
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
    now.set(name, node);
  });
  for (const [name, node] of before) if (!now.has(name)) node.remove();
  kept.set(parent, now);
}

/** Set a text only where it differs, so that nothing flickers and nothing is read out twice. */
export function say(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

/** @type {(id: string) => any} */
export const byId = (id) => document.getElementById(id);

const kept = new WeakMap();

function filled(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "vars") for (const [key, of] of Object.entries(value)) node.style.setProperty(`--${key}`, of);
    else if (name === "value") node.value = value;
    else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false));
  return node;
}
