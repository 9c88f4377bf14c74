// The selected video: its stage, its progress, its timeline and its tags.

import { at, clock, drawRefusal, oncePerFrame, percent, remaining } from "../dom.js";
import { CHANGED, SELECTED } from "../videos/entries.js";
import { createPlayer } from "./player.js";
import { createTags } from "./tags.js";
import { createTimeline } from "./timeline.js";

/** @typedef {import("../types.js").Entry} Entry */

const STORED_THRESHOLD = "kinolex-threshold";

/** What a person is told about the state of an entry. @param {Entry} entry */
export function statusOf(entry) {
  const share = Number.isFinite(entry.share) ? ` ${percent(entry.share)}` : "";
  const left = remaining(entry.secondsLeft);
  const more = [share, left && `, ${left}`].join("");
  switch (entry.status) {
    case "waiting":
      return "Waiting for its turn";
    case "hashing":
      return "Looking whether it is known";
    case "sending":
      return `Sending${more}`;
    case "looking":
      return `Looking at the video${more || " …"}`;
    case "cancelled":
      return "Cancelled";
    case "failed":
      return entry.refusal?.isPassing ? "The service is busy, trying again" : "Failed";
    case "outdated":
      return "Analysed by another model: choose the file again";
    default:
      return "";
  }
}

/** One line about an answer. @param {Entry} entry @param {(score: number) => string} word */
export function summaryOf({ answer }, word) {
  if (!answer) return "";
  const [best] = answer.tags;
  if (answer.unknown.is_unknown) return "None of these";
  return best ? `${best.label} · ${word(best.score)}` : "No tag";
}

/** Facts about the video and who judged it. @param {import("../types.js").Answer} answer */
function factsOf({ video, model, label_set: labels }) {
  const parts = [clock(video.duration, video.duration), `${video.width} × ${video.height}`];
  if (video.fps) parts.push(`${Number(video.fps.toFixed(2))} frames/s`);
  parts.push(video.codec);
  if (video.rotation) parts.push(`rotated by ${video.rotation}°`);
  parts.push(model.revision ? `model ${model.id} ${model.revision}` : `model ${model.id}`);
  parts.push(labels.name ? `labels “${labels.name}”, revision ${labels.revision}` : "your words");
  return parts.join(" · ");
}

/**
 * @param {import("../videos/entries.js").Entries} entries
 * @param {import("../videos/queue.js").Queue} queue
 * @param {import("../question/question.js").Asked} asked
 * @param {{word: (score: number) => string, feedback: any}} options
 */
export function createView(entries, queue, asked, { word, feedback }) {
  const slider = at("threshold");
  /** @param {number} seconds */
  const seek = (seconds) => player.seek(seconds);
  const timeline = createTimeline(at("timeline"), seek);
  const player = createPlayer({ onTime: (seconds) => timeline.move(seconds) });
  const tags = createTags(at("answer"), { word, onSeek: seek, feedback });

  const threshold = () => Number(slider.value) / 100;

  /** @param {Entry} entry */
  function drawBar(entry) {
    const isBusy = ["waiting", "hashing", "sending", "looking"].includes(entry.status);
    const progress = at("progress");
    const hadFocus = document.activeElement === at("cancel");
    at("file-name").textContent = entry.name;
    const isStale = entry.status === "done" && entry.asked !== asked.key;
    const done = isStale ? "The question has changed since." : summaryOf(entry, word);
    const status = statusOf(entry) || done;
    if (at("status").textContent !== status) at("status").textContent = status;
    progress.hidden = !isBusy;
    if (Number.isFinite(entry.share)) progress.value = entry.share;
    else progress.removeAttribute("value");
    at("cancel").hidden = !isBusy;
    // An answer of before stays when the next one is cancelled.
    const isOpen = isStale || entry.status === "cancelled" || !entry.answer || entry.refusal !== null;
    const canAsk = entry.file !== null && !isBusy && isOpen;
    at("again").hidden = !canAsk;
    at("share").hidden = !entry.answer;
    if (hadFocus && !isBusy) (canAsk ? at("again") : at("more")).focus();
    at("result").setAttribute("aria-busy", String(isBusy || entry.status === "asking"));
  }

  /** @param {Entry} entry */
  function drawAnswer(entry) {
    drawRefusal(at("problem"), entry.refusal);
    at("facts").textContent = entry.answer && !entry.seen.length ? factsOf(entry.answer) : "";
    if (entry.answer || entry.seen.length) {
      tags.draw(entry, threshold());
      timeline.draw(entry, threshold());
      return;
    }
    const text = entry.refusal ? "There is no answer." : statusOf(entry) ? "Not tagged yet." : "…";
    tags.say(entry.refusal ? "" : text);
    timeline.say(text);
  }

  function draw() {
    const entry = entries.selected;
    at("threshold-text").textContent = `${slider.value} %`;
    at("bar").hidden = entry === null;
    player.show(entry);
    document.title = entry ? `${entry.name} · Kinolex` : "Kinolex";
    if (entry) {
      drawBar(entry);
      drawAnswer(entry);
      return;
    }
    drawRefusal(at("problem"), null);
    at("facts").textContent = "";
    tags.say("The tags of a video are listed here, the best one first.");
    timeline.say("The times of each tag appear here. Choose one to move the player there.");
  }

  const soon = oncePerFrame(draw);
  entries.addEventListener(SELECTED, draw);
  entries.addEventListener(CHANGED, (event) => {
    if (/** @type {CustomEvent} */ (event).detail === entries.selected) soon();
  });
  slider.addEventListener("input", () => {
    draw();
    try {
      localStorage.setItem(STORED_THRESHOLD, slider.value);
    } catch {
      // The browser stores nothing for this page.
    }
  });
  at("cancel").addEventListener("click", () => {
    if (entries.selected) queue.cancel(entries.selected);
  });
  at("again").addEventListener("click", () => {
    if (entries.selected) queue.again(entries.selected);
  });
  try {
    slider.value = localStorage.getItem(STORED_THRESHOLD) ?? slider.value;
  } catch {
    // As above.
  }

  return { draw, seek, threshold };
}
