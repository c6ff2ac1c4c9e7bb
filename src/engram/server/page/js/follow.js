/** Server-sent events by fetch, which unlike EventSource can carry a token; it reconnects by itself. */

import { send } from "./api.js";

const LONGEST_WAIT = 5000;

/**
 * Call `onEvent` with the data of each event under `path`, and `onState` whenever the connection is there or gone.
 * @param {string} path
 * @param {{onEvent: (data: any) => void, onState: (there: boolean) => void}} call
 * @returns {() => void} ends it
 */
export function follow(path, { onEvent, onState }) {
  const ending = new AbortController();
  (async () => {
    for (let wait = 250; !ending.signal.aborted; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      try {
        const response = await send("GET", path, { headers: { Accept: "text/event-stream" }, signal: ending.signal });
        onState(true);
        wait = 250;
        await read(response.body, onEvent);
      } catch {
        // Gone, or ended by us: the loop's condition knows which.
      }
      if (ending.signal.aborted) return;
      onState(false);
      await new Promise((done) => setTimeout(done, wait));
    }
  })();
  return () => ending.abort();
}

async function read(body, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).replaceAll("\r\n", "\n").split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5))
        .join("\n");
      if (data.trim()) onEvent(JSON.parse(data));
    }
  }
}
