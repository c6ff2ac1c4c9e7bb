/** From the server to the state: what a view needs is fetched when the view is seen, and again when the brain moved. */

import { Away } from "./api.js";
import { follow } from "./follow.js";
import * as routes from "./routes.js";
import { may, store } from "./state.js";
import { toast } from "./toasts.js";

const SPACING = 300;
const PATIENCE = 400;

/** What each view shows beyond the classes, to those who may see it. */
const PARTS = {
  unknowns: async (brain) => ({ piles: may("teach") ? (await routes.unknowns(brain)).groups : [] }),
  map: async (brain) => ({ map: await routes.map(brain) }),
  health: async (brain) => {
    const [health, alpha] = await Promise.all([routes.health(brain), routes.alpha(brain)]);
    return { health, alpha };
  },
  history: async (brain) => {
    if (!may("teach", "export")) return { entries: [], earlier: null };
    const { entries, next } = await routes.history(brain);
    return { entries, earlier: next };
  },
};

let unfollow = () => {};
let refreshing = false;
let again = false;

/** List the brains there are. */
export async function loadBrains() {
  const { brains, scopes } = await routes.brains();
  store.set({ brains, scopes });
  return brains;
}

/** Show another brain, and follow it from now on. */
export function openBrain(name) {
  unfollow();
  store.set({
    brain: name,
    loaded: false,
    seq: 0,
    classes: [],
    piles: [],
    entries: [],
    map: null,
    health: null,
    alpha: null,
    answer: null,
    paused: null,
    question: null,
  });
  unfollow = follow(routes.eventsPath(name), {
    onEvent(event) {
      const brains = store.state.brains.map((one) => (one.name === name ? { ...one, ...event } : one));
      store.set({ brains, seq: event.seq });
      refresh();
    },
    onState: (online) => store.set({ online }),
  });
}

/** Fetch what is shown now; several wishes in a row are one. */
export async function refresh() {
  again = true;
  if (refreshing) return;
  refreshing = true;
  while (again) {
    again = false;
    await fetchShown();
    await new Promise((done) => setTimeout(done, SPACING));
  }
  refreshing = false;
}

async function fetchShown() {
  const { brain, view } = store.state;
  if (!brain) return;
  const slow = setTimeout(() => document.body.classList.add("busy"), PATIENCE);
  try {
    const part = PARTS[view]?.(brain) ?? {};
    const [{ classes, seq }, shown] = await Promise.all([routes.classes(brain), part]);
    if (classes.length && !(current(brain)?.takes && store.state.classes.length)) await loadBrains();
    if (store.state.brain === brain) store.set({ classes, seq, loaded: true, ...shown });
  } catch (error) {
    if (!(error instanceof Away)) toast(error.message, { problem: true });
  } finally {
    clearTimeout(slow);
    document.body.classList.remove("busy");
  }
}

const current = (name) => store.state.brains.find((one) => one.name === name);

/** The entries before those that are shown. */
export async function loadEarlier() {
  const { brain, entries, earlier } = store.state;
  const { entries: more, next } = await routes.history(brain, earlier);
  store.set({ entries: [...entries, ...more], earlier: next });
}
