/** Pictures made small before they travel: the longer side at most 320 pixels. */

const LONGEST = 320;
const LIGHT = 40_000;

/**
 * A picture file as it is if it is small already, else a smaller JPEG of it.
 * @param {Blob} file
 * @returns {Promise<Blob>}
 * @throws {Error} not a picture that this browser can show
 */
export async function shrunk(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`${file.name ?? "This"} is not a picture that this browser can read.`);
  }
  const small = Math.max(bitmap.width, bitmap.height) <= LONGEST && file.size <= LIGHT;
  const asIs = small && ["image/png", "image/jpeg", "image/webp"].includes(file.type);
  const made = asIs ? file : part(bitmap, 0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  return made;
}

/**
 * What is in a box of a picture, made small.
 * @param {CanvasImageSource} source
 * @returns {Blob} a JPEG
 */
export function part(source, left, top, width, height) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // JPEG has no transparency
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, left, top, width, height, 0, 0, canvas.width, canvas.height);
  return blobOf(canvas.toDataURL("image/jpeg", 0.88));
}

/** At once: `toBlob` waits until the browser is idle, which it is not while a camera runs. */
function blobOf(dataUrl) {
  const bytes = atob(dataUrl.slice(dataUrl.indexOf(",") + 1));
  return new Blob([Uint8Array.from(bytes, (letter) => letter.charCodeAt(0))], { type: "image/jpeg" });
}
