// Draws the segments of an answer over the duration of the video, one lane for each label.

import { clock, drawNothing, element, percent } from "./draw.js";

const MAX_LANES = 5;
const MAX_TICKS = 6;
const TOUCHING_SECONDS = 0.001;
const STEPS = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function lanesOf({ segments, tags }) {
  const ranks = new Map(tags.map((tag) => [tag.label, tag.rank]));
  const lanes = new Map();
  for (const { start, end, tags: found } of segments) {
    for (const { label, score } of found) {
      if (!lanes.has(label)) lanes.set(label, []);
      const spans = lanes.get(label);
      const last = spans.at(-1);
      // A segment ends where any label's span does: this label may continue in the next segment.
      if (last && start - last.end < TOUCHING_SECONDS) {
        last.end = end;
        last.score = Math.max(last.score, score);
      } else {
        spans.push({ label, start, end, score });
      }
    }
  }
  const best = (spans) => Math.max(...spans.map((span) => span.score));
  return [...lanes].sort(
    ([a, spansA], [b, spansB]) =>
      (ranks.get(a) ?? Infinity) - (ranks.get(b) ?? Infinity) || best(spansB) - best(spansA),
  );
}

function ruler(duration) {
  const step = STEPS.find((candidate) => duration / candidate <= MAX_TICKS) ?? 7200;
  const ticks = element("div", "ruler");
  ticks.setAttribute("aria-hidden", "true");
  // The end has a tick of its own, which would cover one close to it.
  for (let at = 0; at === 0 || at < duration - step * 0.6; at += step) {
    const tick = element("span", "", duration < 60 ? `${at} s` : clock(at, duration));
    tick.style.setProperty("--at", at / duration);
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
  let playhead = null;
  // Windows reported so far, while the service works.
  let seen = [];

  function block({ label, start, end, score }) {
    const button = element("button", "span");
    button.type = "button";
    button.tabIndex = -1;
    button.style.setProperty("--start", start / duration);
    button.style.setProperty("--length", (end - start) / duration);
    button.style.setProperty("--strength", score);
    const times = `${clock(start, duration)} to ${clock(end, duration)}`;
    button.setAttribute("aria-label", `${label}, ${times}, ${percent(score)}`);
    button.title = `${label} · ${times} · ${percent(score)}`;
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      onSeek(start);
    });
    return button;
  }

  function lane([label, spans]) {
    const name = element("span", "lane-name", label);
    name.title = label;
    const track = element("div", "track", ...spans.map(block));
    track.addEventListener("click", (event) => {
      const box = track.getBoundingClientRect();
      onSeek(((event.clientX - box.left) / box.width) * duration);
    });
    return element("div", "lane", name, track);
  }

  // The whole timeline is one stop of the Tab key; arrow keys move inside it.
  function onKey(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key];
    if (!move || !event.target.matches(".span")) return;
    event.preventDefault();
    const rows = [...container.querySelectorAll(".track")].map((track) => [...track.children]);
    const row = rows.findIndex((spans) => spans.includes(event.target));
    const next = rows[row + move[0]];
    if (!next) return;
    const column = rows[row].indexOf(event.target) + move[1];
    const target = next[Math.min(column, next.length - 1)];
    if (!target) return;
    event.target.tabIndex = -1;
    target.tabIndex = 0;
    target.focus();
  }
  container.addEventListener("keydown", onKey);

  function show(lanes, look) {
    playhead = element("div", "playhead");
    playhead.setAttribute("aria-hidden", "true");
    const drawn = element("div", look, ...lanes.slice(0, MAX_LANES).map(lane));
    const over = element("div", "over", playhead);
    drawn.append(over, ruler(duration));
    container.replaceChildren(drawn);
    return over;
  }

  return {
    /** Discards the windows of an earlier question. */
    begin() {
      seen = [];
    },
    /** Adds windows and draws all windows so far. */
    grow(whole, windows) {
      duration = whole;
      seen.push(...windows);
      const scores = seen.flatMap(({ tags }) => tags.map(({ score }) => score));
      // As the service does at the end: omits tags that are weak compared with the best one.
      const min = Math.max(...scores) / 2;
      const segments = seen.map(({ start, end, tags }) => {
        return { start, end, tags: tags.filter(({ score }) => score >= min) };
      });
      const ahead = element("div", "ahead");
      ahead.style.setProperty("--at", Math.min(1, seen.at(-1).end / duration));
      show(lanesOf({ segments, tags: [] }), "lanes growing").append(ahead);
    },
    /** Removes the windows of a cancelled question, which are incomplete. */
    end() {
      if (seen.length) this.say("Cancelled before the end of the video.");
    },
    /** Shows a text instead of an answer. */
    say(text) {
      playhead = null;
      drawNothing(container, text, MAX_LANES - 1);
    },
    draw(answer) {
      duration = answer.video.duration;
      const lanes = lanesOf(answer);
      if (!lanes.length || !(duration > 0)) {
        this.say("No label stands out at any time.");
        return;
      }
      show(lanes, answer.unknown.is_unknown ? "lanes faint" : "lanes");
      const left = lanes.length - MAX_LANES;
      if (left > 0) container.append(element("p", "note", `${left} weaker ${left === 1 ? "label is" : "labels are"} not shown.`));
      container.querySelector(".span").tabIndex = 0;
      this.move(0);
    },
    /** Moves the playhead. */
    move(seconds) {
      playhead?.style.setProperty("--at", Math.min(1, seconds / duration));
    },
  };
}
