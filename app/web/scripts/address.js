// The address of the page: the selected video and the question, so that a view can be shared.

/** @typedef {{video: string, words: string[], set: string}} View */

/**
 * The view that the address names.
 * @returns {View}
 */
export function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  return {
    video: parameters.get("video") ?? "",
    words: parameters.getAll("label"),
    set: parameters.get("set") ?? "",
  };
}

/** @param {View} view */
function hashOf({ video, words, set }) {
  const parameters = new URLSearchParams();
  if (video) parameters.set("video", video);
  for (const word of words) parameters.append("label", word);
  if (set && set !== "default") parameters.set("set", set);
  const text = parameters.toString();
  return text ? `#${text}` : "";
}

/**
 * Writes a view into the address; another video becomes a step of the browser's history.
 * @param {View} view
 */
export function writeAddress(view) {
  const hash = hashOf(view);
  if (hash === location.hash) return;
  const target = hash || location.pathname;
  if (view.video === readAddress().video) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
}
