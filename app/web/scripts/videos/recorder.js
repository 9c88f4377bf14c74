// Records a video with the camera of the person's computer.

import { at } from "../dom.js";

const MAX_SECONDS = 60;

/** The name of a recording: the time at which it began. @param {Date} now */
function nameOf(now) {
  const day = now.toLocaleDateString("sv");
  const time = now.toLocaleTimeString("sv").replaceAll(":", ".");
  return `recording ${day} ${time}.webm`;
}

/** @param {(file: File) => void} onFile */
export function createRecorder(onFile) {
  const dialog = at("camera");
  const picture = at("camera-picture");
  const start = at("camera-start");
  const note = at("camera-note");
  /** @type {MediaStream | null} */
  let stream = null;
  /** @type {MediaRecorder | null} */
  let recorder = null;
  let clock = 0;

  function close() {
    clearInterval(clock);
    if (recorder && recorder.state !== "inactive") {
      recorder.onstop = null;
      recorder.stop();
    }
    recorder = null;
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = null;
    picture.srcObject = null;
  }

  async function open() {
    start.disabled = true;
    start.textContent = "Record";
    note.textContent = "Allow the camera in the browser. Nothing is sent before you stop the recording.";
    dialog.showModal();
    try {
      const opened = await navigator.mediaDevices.getUserMedia({ video: true });
      if (!dialog.open) {
        for (const track of opened.getTracks()) track.stop();
        return;
      }
      stream = opened;
      picture.srcObject = stream;
      note.textContent = `Up to ${MAX_SECONDS} s. Nothing is sent before you stop the recording.`;
      start.disabled = false;
      start.focus();
    } catch {
      note.textContent = "The camera cannot be used: it is missing, in use, or not allowed.";
    }
  }

  /** @param {MediaStream} source */
  function record(source) {
    /** @type {Blob[]} */
    const parts = [];
    const name = nameOf(new Date());
    recorder = new MediaRecorder(source);
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onstop = () => {
      const file = new File(parts, name, { type: "video/webm" });
      dialog.close();
      onFile(file);
    };
    recorder.start();
    let seconds = 0;
    start.textContent = "Stop and look at it";
    note.textContent = "Recording …";
    clock = setInterval(() => {
      seconds += 1;
      note.textContent = `Recording: ${seconds} s`;
      if (seconds >= MAX_SECONDS) recorder?.stop();
    }, 1000);
  }

  start.addEventListener("click", () => {
    if (recorder) recorder.stop();
    else if (stream) record(stream);
  });
  at("camera-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", close);
  // Browsers offer the camera only to pages that came over HTTPS or from this computer.
  const canRecord = Boolean(navigator.mediaDevices?.getUserMedia) && "MediaRecorder" in globalThis;
  for (const id of ["record", "record-more"]) {
    at(id).hidden = !canRecord;
    at(id).addEventListener("click", open);
  }
}
