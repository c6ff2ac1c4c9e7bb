/** Requests to the server: JSON in and out, its problems (RFC 9457) as errors, and the token where it wants one. */

const BASE = new URL("v1/", document.baseURI);
const KEY = "engram.token";

/** What the server said against a request. */
class Refused extends Error {
  /** @param {number} status @param {{title?: string, detail?: string}} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.title = problem.title ?? "";
  }
}

/** The server could not be reached, or is not ready: the same request may succeed later. */
export class Away extends Error {
  constructor() {
    super("The server is not answering. This page tries again by itself.");
  }
}

/** @type {() => Promise<string | null>} asks a person for the token */
let askToken = async () => null;
/** @type {Promise<string | null> | null} */
let asking = null;

export function onTokenNeeded(/** @type {() => Promise<string | null>} */ ask) {
  askToken = ask;
}
export const token = () => sessionStorage.getItem(KEY);
export const setToken = (value) => sessionStorage.setItem(KEY, value);

const address = (path) => new URL(path, BASE).href;

/**
 * One request. A body that is no FormData or Blob travels as JSON.
 * @param {string} method
 * @param {string} path below /v1/
 * @param {{body?: any, headers?: Record<string, string>, signal?: AbortSignal, cache?: RequestCache}} [more]
 * @returns {Promise<Response>} a successful one
 * @throws {Refused} by the server @throws {Away} not reached
 */
export async function send(method, path, more = {}) {
  const { body, headers = {}, signal, cache } = more;
  const raw = body instanceof FormData || body instanceof Blob || body === undefined;
  const sent = { ...headers };
  if (!raw) sent["Content-Type"] = "application/json";
  if (token()) sent.Authorization = `Bearer ${token()}`;
  let response;
  try {
    const content = raw ? body : JSON.stringify(body);
    response = await fetch(address(path), { method, body: content, headers: sent, signal, cache });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Away();
  }
  if (response.ok) return response;
  if (response.status === 401 && (await newToken())) return send(method, path, more);
  if (response.status === 429) {
    await new Promise((done) => setTimeout(done, 1000 * (Number(response.headers.get("Retry-After")) || 1)));
    return send(method, path, more);
  }
  if ([502, 503, 504].includes(response.status)) throw new Away();
  throw new Refused(response.status, await response.json().catch(() => ({})));
}

/** The JSON that a request gives, as it is now: what the browser kept of it is not asked for. */
export async function ask(method, path, more = {}) {
  const response = await send(method, path, { ...more, cache: "no-store" });
  return response.status === 204 ? null : response.json();
}

/** One question for the token, however many requests wait for it; who does not answer is not asked again. */
async function newToken() {
  asking ??= askToken();
  const given = await asking;
  if (!given) return null;
  setToken(given);
  asking = null;
  return given;
}
