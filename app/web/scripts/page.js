// The page: a question, many videos, and the answer about the selected one. Only connects parts.

import { createFeedback } from "./answer/feedback.js";
import { createShare } from "./answer/share.js";
import { createView } from "./answer/view.js";
import { Refusal, runningModel } from "./api/call.js";
import { deleteVideo, scoreOfLabel } from "./api/videos.js";
import { readAddress, writeAddress } from "./address.js";
import { createConnection } from "./connection.js";
import { at, percent } from "./dom.js";
import { createKeyForm } from "./key.js";
import { createDrawer } from "./labels/drawer.js";
import { createBar } from "./question/bar.js";
import { Asked, CHANGED } from "./question/question.js";
import { Sets } from "./question/sets.js";
import { createDrop } from "./videos/drop.js";
import { CHANGED as ENTRIES_CHANGED, Entries, SELECTED } from "./videos/entries.js";
import { createHistory } from "./videos/history.js";
import { createList } from "./videos/list.js";
import { Queue } from "./videos/queue.js";
import { createRecorder } from "./videos/recorder.js";
import { createSample } from "./videos/sample.js";
import { createSearch } from "./videos/search.js";

const asked = new Asked(readAddress());
const sets = new Sets();
const entries = new Entries();
const queue = new Queue(entries, asked);
let limits = { likely: 0.6, possible: 0.3 };
/** Whether the page follows a step of the browser's history, which is not written again. */
let isFollowing = false;

/** The word for a score. @param {number} score */
function word(score) {
  if (score >= limits.likely) return "likely";
  return score >= limits.possible ? "possible" : "unsure";
}

const view = createView(entries, queue, asked, { word, feedback: createFeedback(asked, sets) });
const videos = createHistory(entries, queue);
createBar(asked, sets);
createDrawer(asked, sets, async (label) => {
  const entry = entries.selected;
  if (!entry?.kept) return "";
  const score = await scoreOfLabel(entry.sha256, asked.now, entry.windows, label);
  return score === null ? "" : `In ${entry.name}: ${word(score)}, ${percent(score)}.`;
});
createShare(entries, view.threshold);
createList(entries, {
  word,
  forget: async ({ sha256 }) => {
    await deleteVideo(sha256);
  },
});
createSearch({
  word,
  open: (sha256, name, seconds) => {
    videos.open(sha256, name);
    view.seek(seconds);
  },
});
createDrop((files) => queue.add(files));
createRecorder((file) => queue.add([file]));
createSample((file, words) => {
  if (!asked.isAdHoc) asked.change({ words });
  queue.add([file]);
});

async function loadModel() {
  const { id, revision, scores, max_upload_bytes: maxBytes } = await runningModel();
  limits = scores;
  queue.maxBytes = maxBytes;
  at("model").textContent = revision ? `${id} ${revision}` : id;
  const words = `Likely: from ${percent(scores.likely)}; possible: from ${percent(scores.possible)}.`;
  at("scores").textContent = scores.fitted_on
    ? `${words} The scores were fitted on ${scores.fitted_on}.`
    : words;
}

async function load() {
  try {
    await Promise.all([loadModel(), sets.load(), videos.load()]);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // The form for the key or the banner of the connection says what to do.
  }
}

function note() {
  if (isFollowing) return;
  const { words, set } = asked.now;
  writeAddress({ video: entries.selected?.sha256 ?? "", words, set });
}

asked.addEventListener(CHANGED, () => {
  queue.askAll();
  view.draw();
  note();
});
entries.addEventListener(SELECTED, note);
entries.addEventListener(ENTRIES_CHANGED, (event) => {
  if (/** @type {CustomEvent} */ (event).detail === entries.selected) note();
});
addEventListener("popstate", () => {
  const { video, words, set } = readAddress();
  isFollowing = true;
  asked.change({ words, set: set || "default", minRevision: 0 });
  if (video) videos.open(video);
  else entries.select(null);
  isFollowing = false;
});
createConnection(() => {
  load();
  queue.resume();
});
createKeyForm(() => {
  load();
  queue.resume();
});

view.draw();
const { video } = readAddress();
load().then(() => {
  if (video) videos.open(video);
});
