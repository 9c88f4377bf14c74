// The calls of the HTTP API that the page makes. Every failure is raised as a Refusal.

import { keyHeaders, noteRefusedKey } from "./key.js";

const PAGE_SIZE = 500;
const MAX_TAGS = 50;
export const MAX_LABELS = 5000;

/** A failed request: an RFC 9457 problem, or a text of the page where the service sent none. */
export class Refusal extends Error {
  constructor({ title, detail = "", code = "", errors = [], retryAfter = null, requestId = "" }) {
    super(title);
    this.name = "Refusal";
    Object.assign(this, { title, detail, code, errors, retryAfter, requestId });
  }
}

function refusal(status, text, retryAfter) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // A proxy answers in its own format: only the status is known.
  }
  return refusalOf(problem, status, retryAfter);
}

function refusalOf(problem, status = problem.status, retryAfter = null) {
  noteRefusedKey(problem.code, problem.title);
  return new Refusal({
    title: problem.title ?? `The service refused the request (${status})`,
    detail: problem.detail,
    code: problem.code,
    requestId: problem.request_id,
    errors: Array.isArray(problem.errors) ? problem.errors : [],
    retryAfter,
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal({ title: "The page could not read the answer", detail: "It is not JSON." });
  }
}

// Calls onEvent for each complete event of a text that grows.
function eventReader(onEvent) {
  let read = 0;
  return (text) => {
    for (let end = text.indexOf("\n\n", read); end >= 0; end = text.indexOf("\n\n", read)) {
      const lines = text.slice(read, end).split("\n");
      read = end + 2;
      const field = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length);
      const data = field("data: ");
      if (data !== undefined) onEvent(field("event: "), parsed(data));
    }
  };
}

async function call(path, options = {}) {
  let response;
  let text;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...keyHeaders() } });
    text = await response.text();
  } catch {
    throw new Refusal({
      title: "The service does not answer",
      detail: "It may have stopped, or the network is down.",
    });
  }
  if (!response.ok) throw refusal(response.status, text, response.headers.get("Retry-After"));
  return text ? parsed(text) : null;
}

/** The answer of GET /model. */
export function runningModel() {
  return call("/model");
}

/**
 * Tags a video.
 * @param {File} file
 * @param {{labels: string, segments: boolean}} question labels are separated by commas (a label that
 *   contains a comma is in double quotes); empty for the default set
 * @param {{signal: AbortSignal, onUpload: (share: number) => void,
 *   onProgress: (progress: object) => void}} watch share is 0 to 1; progress is the data of the
 *   service's event
 * @returns {Promise<object|null>} the answer of POST /classify; null if it was cancelled
 */
export function classify(file, { labels, segments }, { signal, onUpload, onProgress }) {
  const form = new FormData();
  form.append("granularity", segments ? "segments" : "video");
  if (labels) {
    form.append("labels", labels);
    // A user who lists the labels wants to see the score of each one.
    form.append("top_k", String(MAX_TAGS));
  }
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    // XMLHttpRequest, because fetch does not report how much of a body has been sent.
    const request = new XMLHttpRequest();
    let sent = false;
    let failure = null;
    let result = null;
    const readEvents = eventReader((name, data) => {
      if (name === "progress") onProgress(data);
      else if (name === "result") result = data;
      else if (name === "problem") failure = refusalOf(data);
    });
    request.open("POST", "/classify");
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.setRequestHeader("Accept", segments ? "text/event-stream" : "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onUpload(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => {
      sent = true;
      onUpload(1);
    });
    function isStream() {
      const type = request.getResponseHeader("Content-Type") ?? "";
      return request.status === 200 && type.startsWith("text/event-stream");
    }
    function interrupted() {
      return new Refusal({
        title: sent ? "The service did not answer" : "The upload was interrupted",
        detail: sent
          ? "It may have stopped while it processed the video."
          : "The service may be down, the file may have changed, or it is over the size limit.",
      });
    }
    request.addEventListener("progress", () => {
      try {
        if (isStream()) readEvents(request.responseText);
      } catch (error) {
        reject(error);
      }
    });
    request.addEventListener("load", () => {
      if (request.status !== 200) {
        const wait = request.getResponseHeader("Retry-After");
        reject(refusal(request.status, request.responseText, wait));
        return;
      }
      try {
        if (isStream()) readEvents(request.responseText);
        else result = parsed(request.responseText);
      } catch (error) {
        reject(error);
        return;
      }
      if (result) resolve(result);
      else reject(failure ?? interrupted());
    });
    request.addEventListener("error", () => reject(interrupted()));
    request.addEventListener("abort", () => resolve(null));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/**
 * Reads the default label set, page by page, up to MAX_LABELS.
 * @param {string} query only labels that contain this text; all if it is empty
 * @returns {Promise<{items: object[], size: number, complete: boolean}>} size is the number of labels in the set
 */
export async function readLabels(query = "") {
  const items = [];
  let token = "";
  let size = 0;
  do {
    const parameters = new URLSearchParams({ page_size: String(PAGE_SIZE) });
    if (query) parameters.set("q", query);
    if (token) parameters.set("page_token", token);
    const page = await call(`/labels?${parameters}`);
    items.push(...page.items);
    size = page.label_set.size;
    token = page.next_page_token;
  } while (token && items.length < MAX_LABELS);
  return { items, size, complete: !token };
}

/** Adds or replaces labels of the default set. A label is a name or an object with one. */
export function putLabels(labels) {
  return call("/labels", {
    method: "PUT",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ labels }),
  });
}

/**
 * Teaches a label of the default set with videos that show it; only their embeddings are kept.
 * @param {string} name
 * @param {File[]} files
 */
export function teachLabel(name, files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  return call(`/labels/${encodeURIComponent(name)}/examples`, { method: "POST", body: form });
}

/** Removes a label of the default set. */
export function deleteLabel(name) {
  return call(`/labels/${encodeURIComponent(name)}`, { method: "DELETE" });
}
