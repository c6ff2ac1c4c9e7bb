/** The camera: opened when asked for, shown in a video element, and looked at one frame at a time. */

import { cropped } from "./pictures.js";

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
export function frame(video) {
  return cropped(video, video.videoWidth, video.videoHeight, 4 / 3);
}

const WHY = {
  NotAllowedError: "The camera is not allowed here. Allow it beside the address of this page, then try again.",
  NotFoundError: "There is no camera. Drop or paste pictures instead.",
  NotReadableError: "Another program is using the camera. Close it, then try again.",
};
