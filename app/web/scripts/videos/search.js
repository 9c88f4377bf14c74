// Search over what is kept: spans that show what words say.

import { Refusal } from "../api/call.js";
import { searchVideos } from "../api/videos.js";
import { at, clock, drawRefusal, element, percent, times } from "../dom.js";

/**
 * @param {{word: (score: number) => string,
 *   open: (sha256: string, name: string, seconds: number) => void}} options
 */
export function createSearch({ word, open }) {
  const form = at("search");
  const field = at("search-words");
  const results = at("found");
  let requests = 0;

  /** @param {any} item */
  function row({ video, start, end, score }) {
    const name = video.metadata.name || `${video.sha256.slice(0, 12)}…`;
    const made = element("button", "found-span");
    /** @type {HTMLButtonElement} */ (made).type = "button";
    const when = times({ start, end }, video.duration);
    const facts = `${when} of ${clock(video.duration, video.duration)} · ${word(score)}, ${percent(score)}`;
    made.append(element("span", "entry-name", name), element("span", "entry-line", facts));
    made.addEventListener("click", () => open(video.sha256, name, start));
    return element("li", "", made);
  }

  async function find() {
    const words = field.value.trim();
    const request = ++requests;
    drawRefusal(at("search-problem"), null);
    results.replaceChildren();
    at("search-status").textContent = "";
    if (!words) return;
    try {
      const answer = await searchVideos(words);
      if (request !== requests) return;
      results.replaceChildren(...answer.items.map(row));
      const where = answer.videos === 1 ? "1 video" : `${answer.videos} videos`;
      if (!answer.items.length) at("search-status").textContent = "Nothing is kept yet.";
      else if (answer.unknown.is_unknown) {
        at("search-status").textContent = `Nothing fits in ${where}. The least bad spans:`;
      } else at("search-status").textContent = `Best spans of ${where}:`;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (request === requests) drawRefusal(at("search-problem"), error);
    }
  }

  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    find();
  });
  field.addEventListener("input", () => {
    if (field.value.trim() === "") find();
  });
}
