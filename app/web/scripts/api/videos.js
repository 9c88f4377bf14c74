// Kept videos: list, ask, search, delete.

import { labelKey } from "../question/question.js";
import { call, json } from "./call.js";
import { optionsOf } from "./question.js";

const PAGE_SIZE = 100;

/**
 * A page of the kept videos, newest first.
 * @param {string} token of the next page; empty for the first one
 * @returns {Promise<{items: import("../types.js").KeptVideo[], next_page_token: string}>}
 */
export function listVideos(token) {
  const parameters = new URLSearchParams({ page_size: String(PAGE_SIZE) });
  if (token) parameters.set("page_token", token);
  return call(`/videos?${parameters}`);
}

/**
 * Asks a kept video.
 * @param {string} sha256
 * @param {import("../types.js").Question} question
 * @param {{window_seconds: number, stride_seconds: number} | null} windows those it was kept with
 * @param {AbortSignal} signal
 * @returns {Promise<import("../types.js").Answer>}
 */
export function askVideo(sha256, question, windows, signal) {
  const options = { ...optionsOf(question), ...windows };
  return call(`/videos/${sha256}/classify`, json("POST", options, { signal }));
}

// With segments, so many labels have a score.
const MAX_SCORES = 1000;

/**
 * The score of a label in a kept video, whatever its rank; null if it is not reported.
 * @param {string} sha256
 * @param {import("../types.js").Question} question
 * @param {{window_seconds: number, stride_seconds: number} | null} windows those it was kept with
 * @param {string} label
 * @returns {Promise<number | null>}
 */
export async function scoreOfLabel(sha256, question, windows, label) {
  const options = { ...optionsOf(question), ...windows, top_k: MAX_SCORES };
  const { tags } = await call(`/videos/${sha256}/classify`, json("POST", options));
  const key = labelKey(label);
  const found = tags.find((/** @type {import("../types.js").Tag} */ tag) => labelKey(tag.label) === key);
  return found ? found.score : null;
}

/** @param {string} sha256 */
export function deleteVideo(sha256) {
  return call(`/videos/${sha256}`, { method: "DELETE" });
}

/**
 * Spans of kept videos that show what words say, best first.
 * @param {string} words
 * @returns {Promise<{items: any[], videos: number, unknown: {is_unknown: boolean}}>}
 */
export function searchVideos(words) {
  const parameters = new URLSearchParams({ q: words, page_size: "20" });
  return call(`/search?${parameters}`);
}
