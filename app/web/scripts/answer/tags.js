// The list of tags: what stands above the threshold, and the weaker guesses.

import { button, element, fromTemplate, percent, times } from "../dom.js";
import { bestOf, rowsOf } from "./spans.js";

/** @typedef {import("../types.js").Entry} Entry */
/** @typedef {ReturnType<typeof rowsOf>[number]} Row */

const MAX_SPANS = 4;
const WHOLE_SHARE = 0.99;

/**
 * @param {HTMLElement} container
 * @param {{word: (score: number) => string, onSeek: (seconds: number) => void,
 *   feedback: (entry: Entry, row: Row) => HTMLElement | null}} options word names a score
 */
export function createTags(container, { word, onSeek, feedback }) {
  let isOpen = false;
  /** Rows by label, so that a redraw keeps the focus and an open form. @type {string} */
  let drawn = "";

  /** @param {Entry} entry @param {Row} row */
  function spansOf(entry, { label, spans }) {
    const duration = entry.answer?.video.duration ?? entry.duration;
    const best = bestOf(spans);
    const others = spans.filter((span) => span !== best);
    const shown = [best, ...others.slice(0, MAX_SPANS - 1)];
    const list = element("div", "tag-spans");
    for (const span of shown) {
      const isWhole = span.end - span.start >= duration * WHOLE_SHARE;
      const text = isWhole ? "the whole video" : times(span, duration);
      const name = `Go to ${label}, ${text}`;
      list.append(button(text, "time", () => onSeek(span.start), name));
    }
    const more = spans.length - shown.length;
    if (more > 0) list.append(element("span", "", `and ${more} more`));
    return list;
  }

  /** @param {Entry} entry @param {Row} row */
  function drawRow(entry, row) {
    const made = fromTemplate("tag-row");
    const part = (/** @type {string} */ name) =>
      /** @type {HTMLElement} */ (made.querySelector(name));
    part(".tag-label").textContent = row.label;
    part(".tag-likelihood").textContent = word(row.score);
    made.classList.add(word(row.score));
    part(".tag-score").textContent = percent(row.score);
    part(".tag-bar > span").style.setProperty("--share", String(row.score));
    const facts = [];
    if (row.prompt !== row.label) facts.push(`matched “${row.prompt}”`);
    if (Number.isFinite(row.similarity)) facts.push(`similarity ${row.similarity.toFixed(2)}`);
    part(".tag-score").title = facts.join(", ");
    if (row.prompt !== row.label) part(".tag-more").append(`matched “${row.prompt}”`);
    if (row.spans.length) part(".tag-more").append(spansOf(entry, row));
    const teach = feedback(entry, row);
    if (teach) part(".tag-foot").append(teach);
    return made;
  }

  /** @param {Entry} entry @param {Row[]} rows @param {string} look */
  function list(entry, rows, look) {
    return element("ol", look, ...rows.map((row) => drawRow(entry, row)));
  }

  /** @param {Entry} entry @param {Row[]} strong @param {number} threshold */
  function headline(entry, strong, threshold) {
    const { answer } = entry;
    if (entry.seen.length) {
      return element("p", "note", "So far, until the whole video was looked at:");
    }
    if (!answer || strong.length) return null;
    if (!answer.tags.length) {
      return element("p", "empty", "No tag: the label set is empty, or no label reached its threshold.");
    }
    const unknown = percent(answer.unknown.score);
    const title = answer.unknown.is_unknown ? "None of these" : `Nothing reaches ${percent(threshold)}`;
    const reason = answer.unknown.is_unknown
      ? `No label fits, with a probability of ${unknown}. The best guesses are below.`
      : "The labels below are weaker guesses. Lower the threshold to take them.";
    return element(
      "div", "unknown", element("p", "unknown-title", title), element("p", "", reason),
    );
  }

  /** @param {Entry} entry @param {Row[]} weak @param {boolean} isAlone */
  function weaker(entry, weak, isAlone) {
    const fold = /** @type {HTMLDetailsElement} */ (element("details", "weaker"));
    fold.open = isOpen || isAlone;
    const count = weak.length === 1 ? "1 weaker guess" : `${weak.length} weaker guesses`;
    fold.append(element("summary", "", count), list(entry, weak, "tags faint"));
    fold.addEventListener("toggle", () => {
      if (!isAlone) isOpen = fold.open;
    });
    return fold;
  }

  /** @param {Entry} entry @param {number} threshold */
  function draw(entry, threshold) {
    const rows = rowsOf(entry);
    const key = JSON.stringify([entry.id, threshold, rows, entry.kept, entry.answer?.label_set]);
    if (key === drawn) return;
    drawn = key;
    const strong = rows.filter(({ score }) => score >= threshold);
    const weak = rows.filter(({ score }) => score < threshold);
    /** @type {(Node | null)[]} */
    const parts = [headline(entry, strong, threshold)];
    if (strong.length) parts.push(list(entry, strong, "tags"));
    if (weak.length) parts.push(weaker(entry, weak, strong.length === 0));
    for (const warning of entry.answer?.video.warnings ?? []) {
      parts.push(element("p", "warning", warning));
    }
    container.replaceChildren(.../** @type {Node[]} */ (parts.filter(Boolean)));
  }

  return {
    draw,
    /** @param {string} text */
    say(text) {
      drawn = "";
      const outline = element("div", "outline", ...Array.from({ length: 4 }, () => element("i")));
      outline.setAttribute("aria-hidden", "true");
      container.replaceChildren(...(text ? [element("p", "empty", text), outline] : []));
    },
  };
}
