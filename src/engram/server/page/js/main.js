/** The page: opens what the address says, mounts the views, follows the server. */

import { onTokenNeeded } from "./api.js";
import { mountAnswer } from "./answer.js";
import { askToken, goTo, mountBrains } from "./brains.js";
import { mountCards } from "./cards.js";
import { byId, say } from "./dom.js";
import { mountHealth } from "./health.js";
import { mountHearing, switchMicrophone } from "./hearing.js";
import { mountRefusing } from "./refusing.js";
import { mountHistory } from "./history.js";
import { mountInbox } from "./inbox.js";
import { keepLooking } from "./looking.js";
import { mountMap } from "./map.js";
import { receiveEverywhere } from "./receive.js";
import { mountShortcuts } from "./shortcuts.js";
import { mountStage, switchCamera } from "./stage.js";
import { store } from "./state.js";
import { loadBrains, openBrain, refresh } from "./sync.js";
import { count, tellUnfinished, undo } from "./teaching.js";
import { isDark, switchTheme } from "./theme.js";
import { toast } from "./toasts.js";
import { mountWatching } from "./watching.js";

const VIEWS = ["teach", "unknowns", "map", "health", "history"];
const RETRY = 1500;

/** The address is `#/brain/view`. */
async function route() {
  const [, brain, view] = location.hash.split("/").map(decodeURIComponent);
  const known = () => store.state.brains.some((one) => one.name === brain);
  if (brain && !known()) await connected();
  const name = known() ? brain : store.state.brains[0]?.name;
  if (!name) return;
  const shown = VIEWS.includes(view) ? view : "teach";
  store.set({ view: shown });
  if (name !== store.state.brain) openBrain(name);
  if (brain !== name) goTo(name);
  if (shown !== "teach" && store.state.camera) switchCamera(false);
  if (shown !== "teach" && store.state.microphone) switchMicrophone(false);
  refresh();
}

function mountFrame() {
  store.on(["view", "brain"], ({ view, brain }) => {
    for (const name of VIEWS) {
      const link = byId(`to-${name}`);
      byId(name).hidden = name !== view || brain === null;
      link.href = `#/${encodeURIComponent(brain ?? "")}/${name}`;
      if (name === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  });
  store.on(["online", "waiting"], ({ online, waiting }) => {
    byId("away").hidden = online;
    byId("sending").hidden = !waiting.length;
    say(byId("sending"), online ? `${waiting.length} to go` : `${count(waiting.length, "example")} waiting`);
  });
  store.on(["brain"], tellUnfinished);
  byId("undo-button").addEventListener("click", () => undo());
  const theme = byId("theme-button");
  const sayTheme = () => theme.setAttribute("aria-label", isDark() ? "Switch to light" : "Switch to dark");
  theme.addEventListener("click", () => {
    switchTheme();
    sayTheme();
  });
  sayTheme();
}

async function start() {
  for (const mount of [
    mountFrame,
    mountBrains,
    mountStage,
    mountHearing,
    mountWatching,
    mountAnswer,
    mountCards,
    mountInbox,
    mountHistory,
    mountMap,
    mountHealth,
    mountRefusing,
    mountShortcuts,
    receiveEverywhere,
  ])
    mount();
  onTokenNeeded(askToken);
  addEventListener("hashchange", route);
  keepLooking();
  while (!(await connected())) await new Promise((done) => setTimeout(done, RETRY));
  route();
}

async function connected() {
  try {
    await loadBrains();
    store.set({ online: true });
    return true;
  } catch (error) {
    store.set({ online: false });
    if (error.status) toast(error.message, { problem: true });
    return error.status === 401 || error.status === 403;
  }
}

start();
