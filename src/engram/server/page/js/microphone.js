/** The microphone: opened when asked for; the last seconds of it are kept as samples and become WAV files. */

const KEPT = 60; // seconds: the longest recording
const LIVE = 1.5; // seconds that are asked about while nobody records
const QUIET = 0.01; // of what is asked about, something is louder than this

/** @type {{stream: MediaStream, context: AudioContext, parts: Float32Array[], heard: number} | null} */
let open = null;

/**
 * Listen to the microphone.
 * @param {(loudness: number) => void} onLoudness from 0 to 1, several times a second
 * @throws {Error} in words for a person: no microphone, not allowed, or not over plain HTTP
 */
export async function openMicrophone(onLoudness) {
  if (!navigator.mediaDevices) {
    throw new Error("The browser allows the microphone only on pages over HTTPS or on this machine (localhost).");
  }
  try {
    const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { ...raw, channelCount: 1 } });
    const context = new AudioContext();
    await context.audioWorklet.addModule(new URL("./samples_worklet.js", import.meta.url));
    const samples = new AudioWorkletNode(context, "samples");
    context.createMediaStreamSource(stream).connect(samples);
    const mine = { stream, context, parts: /** @type {Float32Array[]} */ ([]), heard: 0 };
    open = mine;
    samples.port.onmessage = ({ data }) => {
      mine.parts.push(data);
      mine.heard += data.length;
      while ((mine.parts.length - 1) * data.length > KEPT * context.sampleRate) mine.parts.shift();
      onLoudness(loudness(data));
    };
  } catch (error) {
    throw new Error(WHY[error.name] ?? `The microphone did not start: ${error.message}`, { cause: error });
  }
}

export function closeMicrophone() {
  open?.stream.getTracks().forEach((track) => track.stop());
  open?.context.close();
  open = null;
}

/** How many samples were heard so far: a recording begins here. */
export const now = () => open?.heard ?? 0;

/** What was heard since `begin`, as a WAV file; null where that is nothing. @returns {Blob | null} */
export function since(begin) {
  return open && open.heard > begin ? wav(last(open.heard - begin), open.context.sampleRate) : null;
}

/** What was heard just now, where it is not quiet. @returns {Blob | null} */
export function justHeard() {
  if (!open) return null;
  const samples = last(LIVE * open.context.sampleRate);
  return samples.some((value) => Math.abs(value) > QUIET) ? wav(samples, open.context.sampleRate) : null;
}

/** The last samples, as many as there are of them. */
function last(count) {
  const whole = new Float32Array(open.parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of open.parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole.subarray(Math.max(0, whole.length - Math.round(count)));
}

/** The root of the mean square on a scale where -60 decibels are 0 and full swing is 1. */
function loudness(/** @type {Float32Array} */ samples) {
  const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
  return Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-12) / 6));
}

/** A WAV file of one channel of 16 bit integers. @returns {Blob} */
function wav(/** @type {Float32Array} */ samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (place, letters) => [...letters].forEach((one, i) => view.setUint8(place + i, one.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}

const WHY = {
  NotAllowedError: "The microphone is not allowed here. Allow it beside the address of this page, then try again.",
  NotFoundError: "There is no microphone. Drop files of sound instead.",
  NotReadableError: "Another program is using the microphone. Close it, then try again.",
};
