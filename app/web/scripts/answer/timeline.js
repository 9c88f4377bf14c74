// Draws spans over the duration of the video: a lane for each label, and one for what is unknown.

import { clock, element, percent, times } from "../dom.js";
import { gapsBetween, rowsOf } from "./spans.js";

/** @typedef {import("../types.js").Span} Span */

const MAX_LANES = 6;
// Where nothing reaches the threshold, the best guesses are drawn faintly.
const MAX_GUESSES = 3;
const MAX_TICKS = 6;
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/** @param {number} duration */
function ruler(duration) {
  const step = STEPS.find((candidate) => duration / candidate <= MAX_TICKS) ?? 7200;
  const ticks = element("div", "ruler");
  ticks.setAttribute("aria-hidden", "true");
  // The end has a tick of its own, which would cover one close to it.
  for (let time = 0; time === 0 || time < duration - step * 0.6; time += step) {
    const tick = element("span", "", duration < 60 ? `${time} s` : clock(time, duration));
    tick.style.setProperty("--at", String(time / duration));
    ticks.append(tick);
  }
  ticks.append(element("span", "end", clock(duration, duration)));
  return ticks;
}

/**
 * @param {HTMLElement} container where it is drawn
 * @param {(seconds: number) => void} onSeek called with the time that the user selects
 */
export function createTimeline(container, onSeek) {
  let duration = 0;
  let time = 0;
  let showsAll = false;
  /** @type {(() => void) | null} */
  let redraw = null;

  /** @param {Span} span @param {boolean} isKnown */
  function block(span, isKnown) {
    const made = /** @type {HTMLButtonElement} */ (
      element("button", isKnown ? "span" : "span gap")
    );
    made.type = "button";
    made.tabIndex = -1;
    made.style.setProperty("--start", String(span.start / duration));
    made.style.setProperty("--length", String((span.end - span.start) / duration));
    made.style.setProperty("--strength", String(span.score));
    const parts = [span.label, times(span, duration)];
    if (isKnown) parts.push(percent(span.score));
    made.setAttribute("aria-label", parts.join(", "));
    made.title = parts.join(" · ");
    made.addEventListener("click", (event) => {
      event.stopPropagation();
      onSeek(span.start);
    });
    return made;
  }

  /** @param {string} label @param {Span[]} spans @param {boolean} isKnown */
  function lane(label, spans, isKnown = true) {
    const name = element("span", "lane-name", label);
    name.title = label;
    const track = element("div", "track", ...spans.map((span) => block(span, isKnown)));
    track.addEventListener("click", (event) => {
      const box = track.getBoundingClientRect();
      onSeek(((event.clientX - box.left) / box.width) * duration);
    });
    return element("div", "lane", name, track);
  }

  /** The whole timeline is one stop of the Tab key; arrow keys move inside it.
   * @param {KeyboardEvent} event
   */
  function onKey(event) {
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    const from = /** @type {HTMLElement} */ (event.target);
    if (!move || !from.matches(".span")) return;
    event.preventDefault();
    const rows = [...container.querySelectorAll(".track")]
      .map((track) => /** @type {HTMLElement[]} */ ([...track.children]))
      .filter((spans) => spans.length);
    const row = rows.findIndex((spans) => spans.includes(from));
    const next = rows[row + move[0]];
    if (!next) return;
    const column = rows[row].indexOf(from) + move[1];
    const target = next[Math.min(column, next.length - 1)];
    if (!target) return;
    from.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  }
  container.addEventListener("keydown", onKey);

  function movePlayhead() {
    const share = duration > 0 ? Math.min(1, time / duration) : 0;
    const head = /** @type {HTMLElement | null} */ (container.querySelector(".playhead"));
    head?.style.setProperty("--at", String(share));
  }

  /** @param {string} text */
  function say(text) {
    const outline = element("div", "outline", ...Array.from({ length: 3 }, () => element("i")));
    outline.setAttribute("aria-hidden", "true");
    container.replaceChildren(element("p", "empty", text), outline);
  }

  /** @param {number} more */
  function moreButton(more) {
    const text = showsAll ? "Show fewer" : `Show ${more} more`;
    const made = element("button", "link", text);
    /** @type {HTMLButtonElement} */ (made).type = "button";
    made.addEventListener("click", () => {
      showsAll = !showsAll;
      redraw?.();
      /** @type {HTMLElement | null} */ (container.querySelector("button.link"))?.focus();
    });
    return made;
  }

  /** @param {import("../types.js").Entry} entry @param {number} threshold */
  function draw(entry, threshold) {
    redraw = () => draw(entry, threshold);
    duration = entry.answer?.video.duration ?? entry.duration;
    if (entry.seen.length) duration = entry.duration;
    const rows = rowsOf(entry).filter(({ spans }) => spans.length);
    if (!rows.length || !(duration > 0)) {
      say(entry.answer ? "No label stands out at any time." : "The times of each tag appear here.");
      return;
    }
    const strong = rows
      .map(({ label, spans }) => ({ label, spans: spans.filter((s) => s.score >= threshold) }))
      .filter(({ spans }) => spans.length);
    const isFaint = strong.length === 0;
    const shown = isFaint ? rows.slice(0, MAX_GUESSES) : strong;
    const visible = showsAll ? shown : shown.slice(0, MAX_LANES);
    const lanes = visible.map(({ label, spans }) => lane(label, spans));
    const covered = isFaint ? [] : strong.flatMap(({ spans }) => spans);
    const gaps = entry.seen.length ? [] : gapsBetween(covered, duration);
    if (gaps.length) {
      const spans = gaps.map((gap) => ({ ...gap, label: "nothing found", score: 0 }));
      lanes.push(lane("nothing found", spans, false));
    }
    const over = element("div", "over", element("div", "playhead"));
    over.setAttribute("aria-hidden", "true");
    const look = `lanes${isFaint ? " faint" : ""}${entry.seen.length ? " growing" : ""}`;
    const drawn = element("div", look, ...lanes, over, ruler(duration));
    const last = entry.seen.at(-1);
    if (last) {
      const ahead = element("div", "ahead");
      ahead.style.setProperty("--at", String(Math.min(1, last.end / duration)));
      over.append(ahead);
    }
    const focused = document.activeElement?.getAttribute("aria-label");
    const hadFocus = container.contains(document.activeElement);
    container.replaceChildren(drawn);
    if (shown.length > MAX_LANES) container.append(moreButton(shown.length - MAX_LANES));
    const spans = /** @type {HTMLElement[]} */ ([...container.querySelectorAll(".span")]);
    const again = spans.find((each) => each.getAttribute("aria-label") === focused) ?? spans[0];
    if (again) again.tabIndex = 0;
    if (hadFocus) again?.focus();
    movePlayhead();
  }

  return {
    draw,
    say,
    /** @param {number} seconds */
    move(seconds) {
      time = seconds;
      movePlayhead();
    },
  };
}
