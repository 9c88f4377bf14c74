// POST /classify: sends a video and reads the events of its answer.

import { keyHeaders } from "../key.js";
import { Refusal, offline, refusalIn, refusalOf } from "./call.js";
import { eventReader } from "./events.js";
import { optionsOf } from "./question.js";

/** @typedef {import("../types.js").Answer} Answer */

/** @param {File} file @param {import("../types.js").Question} question @param {boolean} keep */
function formOf(file, question, keep) {
  const form = new FormData();
  for (const [name, value] of Object.entries(optionsOf(question))) {
    form.append(name, Array.isArray(value) ? JSON.stringify(value) : String(value));
  }
  if (keep) {
    form.append("keep", "true");
    form.append("metadata", JSON.stringify({ name: file.name.slice(0, 500) }));
  }
  form.append("file", file, file.name);
  return form;
}

/** @returns {Promise<Refusal>} */
async function interrupted() {
  // The browser does not tell a dead service from a refusal that came before the last byte.
  const isUp = await fetch("/healthz").then((answer) => answer.ok, () => false);
  if (!isUp) return offline();
  return new Refusal({
    title: "The upload was interrupted",
    detail: "The file may have changed while it was read, or it is larger than the service takes.",
  });
}

/**
 * Tags a video that is sent.
 * @param {File} file
 * @param {import("../types.js").Question} question
 * @param {{keep: boolean, signal: AbortSignal, onUpload: (share: number) => void,
 *   onProgress: (progress: import("../types.js").Progress) => void}} options share is 0 to 1
 * @returns {Promise<Answer | null>} null if it was cancelled
 */
export function classify(file, question, { keep, signal, onUpload, onProgress }) {
  return new Promise((resolve, reject) => {
    // XMLHttpRequest, because fetch does not report how much of a body has been sent.
    const request = new XMLHttpRequest();
    /** @type {Refusal | null} */
    let failure = null;
    /** @type {Answer | null} */
    let result = null;
    const readEvents = eventReader((name, data) => {
      if (name === "progress") onProgress(data);
      else if (name === "result") result = data;
      else if (name === "problem") failure = refusalOf(data);
    });

    function readStream() {
      try {
        if (request.status === 200) readEvents(request.responseText);
      } catch (error) {
        reject(error);
      }
    }

    request.open("POST", "/classify");
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.setRequestHeader("Accept", "text/event-stream");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onUpload(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => onUpload(1));
    request.addEventListener("progress", readStream);
    request.addEventListener("load", async () => {
      if (request.status !== 200) {
        const wait = request.getResponseHeader("Retry-After");
        reject(refusalIn(request.status, request.responseText, wait));
        return;
      }
      readStream();
      if (result) resolve(result);
      else reject(failure ?? (await interrupted()));
    });
    request.addEventListener("error", async () => reject(await interrupted()));
    request.addEventListener("abort", () => resolve(null));
    signal.addEventListener("abort", () => request.abort());
    request.send(formOf(file, question, keep));
  });
}
