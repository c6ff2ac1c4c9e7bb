/**
 * What was taught here and is not yet acknowledged. A batch keeps its Idempotency-Key until the server has answered,
 * so that one sent twice over a broken connection is learned once; nothing leaves the box before it is durable.
 */

import { Away } from "./api.js";

const MOST = 8;
const PAUSE = 1000;

/**
 * @typedef {{brain: string, label: import("./labels.js").Label, taken: import("./taken.js").Taken, act: string,
 *   augment: boolean, again: boolean}} Lesson
 *   `act` names what a person did: all that is taught while a button is held is one act, and so is a drop of files
 * @param {{send: (lessons: Lesson[], key: string) => Promise<any>, onChange: (waiting: Lesson[]) => void,
 *   onTaught: (lessons: Lesson[], answer: any) => void, onRefused: (lessons: Lesson[], error: Error) => void}} call
 */
export function createOutbox({ send, onChange, onTaught, onRefused }) {
  /** @type {Lesson[]} */
  let waiting = [];
  let sending = false;
  /** @type {{lessons: Lesson[], done: Promise<void>} | null} */
  let underWay = null;
  const withdrawn = new Set();
  const taught = new Set();

  async function run() {
    sending = true;
    while (waiting.length) {
      const lessons = first(waiting);
      underWay = { lessons, done: sent(lessons) };
      await underWay.done;
    }
    sending = false;
    underWay = null;
  }

  async function sent(batch) {
    const [answer, error] = await delivered(batch, crypto.randomUUID());
    waiting = waiting.slice(batch.length);
    onChange(waiting);
    if (error) return onRefused(batch, error);
    taught.add(batch[0].act);
    onTaught(batch, answer);
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
      waiting = [...waiting, ...lessons.filter(({ act }) => !withdrawn.has(act))];
      onChange(waiting);
      if (!sending) run();
    },
    /**
     * Let go of an act, what is still to be added to it too; done when none of it is under way.
     * @returns {Promise<boolean>} whether that was all of it: nothing of it was taught
     */
    async withdraw(act) {
      withdrawn.add(act);
      const before = waiting.length;
      const { lessons: going, done } = underWay ?? { lessons: [], done: null };
      waiting = waiting.filter((one) => one.act !== act || going.includes(one));
      onChange(waiting);
      const went = waiting.length < before;
      if (going.some((one) => one.act === act)) await done;
      return went && !taught.has(act);
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
