/** Small pictures from the server: fetched once with the token where there is one, and only when they come into view. */

import { send } from "./api.js";

const MOST = 600;
/** @type {Map<string, Promise<string>>} */
const urls = new Map();

const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        load(target);
      }
    }
  },
  { rootMargin: "200px" },
);

/** Show the picture under `path` in an image. */
export function showThumbnail(/** @type {HTMLImageElement} */ image, path) {
  if (image.dataset.path === path) return;
  image.dataset.path = path;
  seen.observe(image);
}

async function load(image) {
  const { path } = image.dataset;
  if (!urls.has(path))
    urls.set(
      path,
      send("GET", path)
        .then((response) => response.blob())
        .then((blob) => URL.createObjectURL(blob)),
    );
  try {
    const url = await urls.get(path);
    if (image.dataset.path === path) image.src = url;
  } catch {
    urls.delete(path);
    image.classList.add("missing");
  }
  trim();
}

/** Keep the newest; a picture that is still shown is in the browser's own memory. */
function trim() {
  for (const [path, url] of urls) {
    if (urls.size <= MOST) return;
    urls.delete(path);
    url.then(URL.revokeObjectURL, () => {});
  }
}
