/** The camera: opened when asked for, shown in a video element, and looked at one frame at a time. */

import { part } from "./pictures.js";
import { store } from "./state.js";

/** @type {MediaStream | null} */
let stream = null;

/**
 * Show the camera in `video`.
 * @throws {Error} in words for a person: no camera, not allowed, or not over plain HTTP
 */
export async function openCamera(video) {
  if (!navigator.mediaDevices) {
    throw new Error("The browser allows the camera only on pages over HTTPS or on this machine (localhost).");
  }
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: 640, height: 480, facingMode: "environment" },
    });
  } catch (error) {
    throw new Error(WHY[error.name] ?? `The camera did not start: ${error.message}`, { cause: error });
  }
  video.srcObject = stream;
  await video.play();
}

export function closeCamera(video) {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  video.srcObject = null;
}

/** What the camera shows now, as a small picture. @returns {Blob} */
export const frame = (video) => part(video, ...looked(video));

/** What is looked at: the middle of the picture, as the stage shows it, or the region of it. @returns {number[]} */
export function looked({ videoWidth, videoHeight }) {
  const width = Math.min(videoWidth, (videoHeight * 4) / 3);
  const height = (width * 3) / 4;
  const [left, top, wide, high] = Array.isArray(store.state.region) ? store.state.region : [0, 0, 1, 1];
  return [(videoWidth - width) / 2 + left * width, (videoHeight - height) / 2 + top * height, wide * width, high * height];
}

const WHY = {
  NotAllowedError: "The camera is not allowed here. Allow it beside the address of this page, then try again.",
  NotFoundError: "There is no camera. Drop or paste pictures instead.",
  NotReadableError: "Another program is using the camera. Close it, then try again.",
};
