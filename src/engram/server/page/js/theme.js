/** Light or dark: as the system has it, until the reader says otherwise. Loaded before the first paint. */

const KEY = "engram.theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

const chosen = localStorage.getItem(KEY);
if (chosen) root.dataset.theme = chosen;

export function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
}

/** The other one; back to the system's own where that is the same. */
export function switchTheme() {
  const dark = !isDark();
  if (dark === system.matches) {
    delete root.dataset.theme;
    localStorage.removeItem(KEY);
  } else {
    root.dataset.theme = dark ? "dark" : "light";
    localStorage.setItem(KEY, root.dataset.theme);
  }
}
