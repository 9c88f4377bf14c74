// Labels, label sets and examples.

import { labelKey } from "../question/question.js";
import { call, callText, json } from "./call.js";

const PAGE_SIZE = 500;
export const MAX_LABELS = 5000;

/** @typedef {import("../types.js").Label} Label */
/** @typedef {import("../types.js").LabelSet} LabelSet */

/** @param {string} set @param {string} [name] */
function address(set, name) {
  const labels = `/label-sets/${encodeURIComponent(set)}/labels`;
  return name === undefined ? labels : `${labels}/${encodeURIComponent(name)}`;
}

/** @returns {Promise<LabelSet[]>} the label sets that the key covers, up to 500 */
export async function readSets() {
  return (await call(`/label-sets?page_size=${PAGE_SIZE}`)).items;
}

/**
 * Reads a set, page by page, up to MAX_LABELS.
 * @param {string} set
 * @param {string} [query] only labels that contain this text; all if it is empty
 * @returns {Promise<{items: Label[], size: number, complete: boolean}>} size is that of the set
 */
export async function readLabels(set, query = "") {
  /** @type {Label[]} */
  const items = [];
  let token = "";
  let size = 0;
  do {
    const parameters = new URLSearchParams({ page_size: String(PAGE_SIZE) });
    if (query) parameters.set("q", query);
    if (token) parameters.set("page_token", token);
    const page = await call(`${address(set)}?${parameters}`);
    items.push(...page.items);
    size = page.label_set.size;
    token = page.next_page_token;
  } while (token && items.length < MAX_LABELS);
  return { items, size, complete: !token };
}

/**
 * Adds or replaces labels. A label is a name or an object with one.
 * @param {string} set
 * @param {(string | Partial<Label>)[]} labels
 */
export function putLabels(set, labels) {
  return call(address(set), json("PUT", { labels }));
}

/**
 * Adds or replaces the labels of a file.
 * @param {string} set
 * @param {File} file
 */
export function importLabels(set, file) {
  const isCsv = /\.csv$/i.test(file.name);
  const type = isCsv ? "text/csv" : "application/x-ndjson";
  return call(address(set), { method: "PUT", headers: { "Content-Type": type }, body: file });
}

/**
 * The whole set as text.
 * @param {string} set
 * @param {"csv" | "ndjson"} format
 */
export function exportLabels(set, format) {
  return callText(`${address(set)}?format=${format}`);
}

/** @param {string} set @param {string} name */
export function deleteLabel(set, name) {
  return call(address(set, name), { method: "DELETE" });
}

/**
 * Creates a set, of labels or as a copy.
 * @param {string} set
 * @param {{labels: string[]} | {copy_of: string}} content
 */
export function createSet(set, content) {
  const headers = { "If-None-Match": "*" };
  return call(`/label-sets/${encodeURIComponent(set)}`, json("PUT", content, { headers }));
}

/** @param {string} set */
export function deleteSet(set) {
  return call(`/label-sets/${encodeURIComponent(set)}`, { method: "DELETE" });
}

/** @param {string} set @param {string} name */
export function readExamples(set, name) {
  return call(`${address(set, name)}/examples`);
}

/**
 * Teaches a label with videos that show it; only their embeddings are kept.
 * @param {string} set
 * @param {string} name
 * @param {File[]} files
 */
export function teachFiles(set, name, files) {
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  return call(`${address(set, name)}/examples`, { method: "POST", body: form });
}

/**
 * Teaches a label with a span of a kept video.
 * @param {string} set
 * @param {string} name
 * @param {{video: string, start: number, end: number}} span video is a SHA-256
 */
export function teachSpan(set, name, span) {
  return call(`${address(set, name)}/examples`, json("POST", span));
}

/**
 * Removes an example of a label.
 * @param {string} set
 * @param {string} name
 * @param {string} sha256
 */
export function forgetExample(set, name, sha256) {
  return call(`${address(set, name)}/examples/${sha256}`, { method: "DELETE" });
}

const WRITABLE = /** @type {const} */ ([
  "name", "prompts", "aliases", "description", "language", "threshold", "enabled", "metadata",
]);

/** What a write takes of a stored label. @param {Label} label @returns {Partial<Label>} */
export function writable(label) {
  const given = WRITABLE.filter((field) => label[field] != null);
  return Object.fromEntries(given.map((field) => [field, label[field]]));
}

/**
 * The stored label of a name; null if there is none.
 * @param {string} set
 * @param {string} name
 * @returns {Promise<Partial<Label> | null>}
 */
export async function readLabel(set, name) {
  const { items } = await readLabels(set, name);
  const found = items.find((label) => labelKey(label.name) === labelKey(name));
  return found ? writable(found) : null;
}
