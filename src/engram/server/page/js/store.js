/** The one state of the page. Views listen to the parts that they show; whoever changes a part replaces it. */

/**
 * @template {Record<string, any>} S
 * @param {S} state
 */
export function createStore(state) {
  const listeners = new Set();
  let due = false;

  function render() {
    due = false;
    for (const listener of listeners) {
      if (listener.keys.some((key) => state[key] !== listener.seen[key])) {
        listener.seen = state;
        listener.render(state);
      }
    }
  }

  return {
    /** @returns {S} */
    get state() {
      return state;
    },

    /** Replace parts of the state; who listens to them is called once, when the current task is done. */
    set(/** @type {Partial<S>} */ parts) {
      state = { ...state, ...parts };
      if (!due) queueMicrotask(render);
      due = true;
    },

    /** Call `render` now, and whenever one of the parts was replaced. */
    on(/** @type {(keyof S)[]} */ keys, /** @type {(state: S) => void} */ render) {
      listeners.add({ keys, render, seen: state });
      render(state);
    },
  };
}
