// A question as options of the API.

// Enough for a list of words: every one of them is shown with its score.
const MAX_TAGS = 50;
const SET_TAGS = 10;

/**
 * The options of POST /classify and POST /videos/{sha256}/classify.
 * @param {import("../types.js").Question} question
 * @returns {Record<string, string | number | string[]>}
 */
export function optionsOf({ words, set, minRevision }) {
  if (words.length) return { granularity: "segments", labels: words, top_k: MAX_TAGS };
  const options = { granularity: "segments", label_set: set, top_k: SET_TAGS };
  return minRevision ? { ...options, min_revision: minRevision } : options;
}
