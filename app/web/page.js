// The page: one video, one question, one answer. Only connects api, draw, timeline and labels.

import { Refusal, classify, runningModel } from "./api.js";
import { bytes, drawAnswer, drawNothing, drawRefusal, percent } from "./draw.js";
import { createKeyForm } from "./key.js";
import { createLabels } from "./labels.js";
import { createTimeline } from "./timeline.js";

const at = (id) => document.getElementById(id);
const picker = at("file");
const player = at("player");
const progress = at("progress");

const OUTLINE_ROWS = 5;

let video = null;
let running = null;

const timeline = createTimeline(at("timeline"), (seconds) => {
  if (player.hidden) return;
  player.currentTime = seconds;
  timeline.move(seconds);
});
const labels = createLabels(() => {
  at("ask-again").hidden = video === null;
});

function say(text) {
  at("status").textContent = text;
}

function showRunning(on) {
  const focused = document.activeElement;
  at("cancel").hidden = !on;
  at("another").hidden = on || video === null;
  at("tag").disabled = on || video === null;
  at("result").setAttribute("aria-busy", String(on));
  progress.hidden = !on;
  if (on) progress.value = 0;
  // The element with the focus may be hidden now: for keyboard users its successor gets it.
  if ([picker, at("tag"), at("cancel"), at("ask-again")].includes(focused)) {
    at(on ? "cancel" : "tag").focus();
  }
}

function showUpload(share) {
  if (share < 1) {
    progress.value = share;
    say(`Sending ${percent(share)}`);
  } else {
    // Without a value the bar shows work of unknown duration.
    progress.removeAttribute("value");
    say("Looking at the video …");
  }
}

function showProgress({ done, total, duration, windows }) {
  progress.value = done / total;
  say(`Looking at the video: ${percent(done / total)}`);
  timeline.grow(duration, windows);
}

function summary(answer, seconds) {
  const [best] = answer.tags;
  const took = `${seconds.toFixed(1)} s`;
  if (answer.unknown.is_unknown) return `None of these fits. Took ${took}.`;
  if (!best) return `No tag. Took ${took}.`;
  return `${best.label}: ${best.likelihood}, ${percent(best.score)}. Took ${took}.`;
}

async function ask() {
  if (video === null) return;
  const question = { labels: at("only").value.trim(), segments: at("times").checked };
  running?.abort();
  const mine = new AbortController();
  running = mine;
  drawRefusal(at("problem"), null);
  showRunning(true);
  at("ask-again").hidden = true;
  say("Sending …");
  const began = performance.now();
  try {
    timeline.begin();
    const answer = await classify(video, question, {
      signal: mine.signal,
      onUpload: showUpload,
      onProgress: showProgress,
    });
    if (answer === null) {
      if (running === mine) {
        say("Cancelled.");
        timeline.end();
      }
      return;
    }
    drawAnswer(at("answer"), answer);
    if (question.segments) timeline.draw(answer);
    else timeline.say("Only the whole video was tagged, without times.");
    say(summary(answer, (performance.now() - began) / 1000));
    at("tag").textContent = "Tag again";
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say("");
    at("answer").replaceChildren();
    timeline.say("There is no answer.");
    drawRefusal(at("problem"), error);
  } finally {
    // Another question may have replaced this one.
    if (running === mine) {
      running = null;
      showRunning(false);
    }
  }
}

async function sayWhatScoresMean() {
  try {
    const { fitted_on: samples, likely, possible } = (await runningModel()).scores;
    const words = `Likely: from ${percent(likely)}; possible: from ${percent(possible)}.`;
    at("scores").textContent = samples ? `${words} The scores were fitted on ${samples}.` : words;
  } catch (error) {
    // These sentences are a note: without them the page works.
    if (!(error instanceof Refusal)) throw error;
  }
}

function choose(files) {
  if (!files.length) return;
  [video] = files;
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(video);
  player.hidden = false;
  at("no-preview").hidden = true;
  at("drop").hidden = true;
  at("file-name").textContent = `${video.name} · ${bytes(video.size)}`;
  at("tag").textContent = "Tag";
  drawNothing(at("answer"), "Not tagged yet.", OUTLINE_ROWS);
  timeline.say("Not tagged yet.");
  ask();
}

player.addEventListener("error", () => {
  player.hidden = true;
  at("no-preview").hidden = false;
});
player.addEventListener("timeupdate", () => timeline.move(player.currentTime));

picker.addEventListener("change", () => {
  choose(picker.files);
  // Otherwise choosing the same file again would cause no event.
  picker.value = "";
});
at("another").addEventListener("click", () => picker.click());
at("cancel").addEventListener("click", () => running?.abort());
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
at("ask-again").addEventListener("click", ask);

// The whole page accepts a drop: beside a drop target the browser would open the file instead.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) at("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("stage").classList.remove("over");
  choose(event.dataTransfer.files);
});

drawNothing(
  at("answer"),
  "The tags of the video are listed here, the best one first.",
  OUTLINE_ROWS,
);
createKeyForm(() => {
  drawRefusal(at("problem"), null);
  labels.load();
  sayWhatScoresMean();
});
timeline.say("The times of each tag are shown here. Select one to move the player there.");
labels.load();
sayWhatScoresMean();
