// An answer as a file: JSON, CSV, SRT, WebVTT.

import { spansByLabel } from "./spans.js";

/** @typedef {import("../types.js").Span} Span */

/** A time as subtitles write it. @param {number} seconds @param {string} mark before milliseconds */
function stamp(seconds, mark) {
  const total = Math.round(seconds * 1000);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const parts = [Math.floor(total / 3_600_000), Math.floor(total / 60_000) % 60];
  const rest = `${two(Math.floor(total / 1000) % 60)}${mark}${String(total % 1000).padStart(3, "0")}`;
  return [...parts.map(two), rest].join(":");
}

/** @param {Span} span @param {string} mark */
function period({ start, end }, mark) {
  return `${stamp(start, mark)} --> ${stamp(end, mark)}`;
}

/** A line of text that cannot end a cue or begin markup. @param {Span} span */
function cueText({ label, score }) {
  const text = label.replace(/\s+/g, " ").replaceAll("-->", "→");
  return `${text} (${Math.round(score * 100)} %)`;
}

/** @param {string} value */
function cell(value) {
  // A spreadsheet would take such a text for a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/**
 * The spans of an answer from a score on, by time.
 * @param {import("../types.js").Answer} answer
 * @param {number} threshold
 * @returns {Span[]}
 */
export function spansAbove(answer, threshold) {
  const spans = [...spansByLabel(answer.segments).values()].flat();
  return spans
    .filter(({ score }) => score >= threshold)
    .sort((a, b) => a.start - b.start || b.score - a.score);
}

/** @type {Record<string, {type: string,
 *   write: (answer: import("../types.js").Answer, spans: Span[], name: string) => string}>} */
export const FORMATS = {
  json: { type: "application/json", write: (answer) => `${JSON.stringify(answer, null, 2)}\n` },
  csv: {
    type: "text/csv",
    write: (_, spans, name) =>
      [
        "video,start,end,label,score\r\n",
        ...spans.map(({ start, end, label, score }) => {
          const numbers = [start.toFixed(3), end.toFixed(3)].join(",");
          return `${cell(name)},${numbers},${cell(label)},${score.toFixed(4)}\r\n`;
        }),
      ].join(""),
  },
  srt: {
    type: "application/x-subrip",
    write: (_, spans) =>
      spans.map((span, index) => `${index + 1}\n${period(span, ",")}\n${cueText(span)}\n`).join("\n"),
  },
  vtt: {
    type: "text/vtt",
    write: (_, spans) =>
      ["WEBVTT\n", ...spans.map((span) => `${period(span, ".")}\n${escaped(cueText(span))}\n`)].join("\n"),
  },
};

/**
 * Saves a text as a file of the person's computer.
 * @param {string} text
 * @param {string} name
 * @param {string} type
 */
export function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // The browser may read the address after this function.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
