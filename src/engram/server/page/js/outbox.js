/**
 * What was taught here and is not yet acknowledged. A batch keeps its Idempotency-Key until the server has answered,
 * so that one sent twice over a broken connection is learned once; nothing leaves the box before it is durable.
 */

import { Away } from "./api.js";

const MOST = 8;
const PAUSE = 1000;

/**
 * @typedef {{brain: string, label: import("./labels.js").Label, taken: import("./taken.js").Taken, act: number,
 *   augment: boolean}} Lesson
 *   `act` numbers what a person did: all that is taught while a button is held is one act
 * @param {{send: (lessons: Lesson[], key: string) => Promise<any>, onChange: (waiting: Lesson[]) => void,
 *   onTaught: (lessons: Lesson[], answer: any) => void, onRefused: (lessons: Lesson[], error: Error) => void}} call
 */
export function createOutbox({ send, onChange, onTaught, onRefused }) {
  /** @type {Lesson[]} */
  let waiting = [];
  let sending = false;

  async function run() {
    sending = true;
    while (waiting.length) {
      const batch = first(waiting);
      const key = crypto.randomUUID();
      const [answer, error] = await delivered(batch, key);
      waiting = waiting.slice(batch.length);
      onChange(waiting);
      if (error) onRefused(batch, error);
      else onTaught(batch, answer);
    }
    sending = false;
  }

  /** Tries until the server has answered, whatever it answers. */
  async function delivered(batch, key) {
    for (;;) {
      try {
        return [await send(batch, key), null];
      } catch (error) {
        if (!(error instanceof Away)) return [null, error];
        await new Promise((done) => setTimeout(done, PAUSE));
      }
    }
  }

  return {
    add(/** @type {Lesson[]} */ ...lessons) {
      waiting = [...waiting, ...lessons];
      onChange(waiting);
      if (!sending) run();
    },
    get size() {
      return waiting.length;
    },
  };
}

/** The next lessons of one act for one brain and under one label, as many as go in one request. */
function first(waiting) {
  const [{ brain, label, act }] = waiting;
  const end = waiting.findIndex((one) => one.brain !== brain || one.label !== label || one.act !== act);
  return waiting.slice(0, Math.min(MOST, end < 0 ? waiting.length : end));
}
