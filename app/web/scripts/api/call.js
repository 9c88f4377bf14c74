// One call of the HTTP API. Every failure is raised as a Refusal.

import { keyHeaders, noteRefusedKey } from "../key.js";

export const OFFLINE = "service-offline";
// Codes of refusals that end by themselves.
const PASSING = ["overloaded", "not_ready", "labels_not_ready", "deadline_exceeded"];

/** A failed request: an RFC 9457 problem, or a text of the page where the service sent none. */
export class Refusal extends Error {
  /**
   * @param {{title: string, detail?: string, code?: string, errors?: {detail: string}[],
   *   retrySeconds?: number, requestId?: string, isOffline?: boolean}} problem
   */
  constructor({
    title,
    detail = "",
    code = "",
    errors = [],
    retrySeconds = 0,
    requestId = "",
    isOffline = false,
  }) {
    super(title);
    this.name = "Refusal";
    this.title = title;
    this.detail = detail;
    this.code = code;
    this.errors = errors;
    this.retrySeconds = retrySeconds;
    this.requestId = requestId;
    this.isOffline = isOffline;
  }

  /** Whether the same request may be accepted a little later. */
  get isPassing() {
    return PASSING.includes(this.code);
  }
}

/**
 * The refusal that a problem describes.
 * @param {any} problem
 * @param {number} [status]
 * @param {string | null} [retryAfter]
 */
export function refusalOf(problem, status = problem.status, retryAfter = null) {
  noteRefusedKey(problem.code, problem.title);
  return new Refusal({
    title: problem.title ?? `The service refused the request (${status})`,
    detail: problem.detail,
    code: problem.code,
    requestId: problem.request_id,
    errors: Array.isArray(problem.errors) ? problem.errors : [],
    retrySeconds: Number(retryAfter) || 0,
  });
}

/**
 * The refusal of an answer with this status and text.
 * @param {number} status
 * @param {string} text
 * @param {string | null} retryAfter
 */
export function refusalIn(status, text, retryAfter) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // A proxy answers in its own format: only the status is known.
  }
  return refusalOf(problem, status, retryAfter);
}

/** The refusal where no answer comes; tells the page that the service is gone. */
export function offline() {
  document.dispatchEvent(new CustomEvent(OFFLINE));
  return new Refusal({
    title: "The service does not answer",
    detail: "It may have stopped, or the network is down. The page tries again by itself.",
    isOffline: true,
  });
}

/** @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal({ title: "The page could not read the answer", detail: "It is not JSON." });
  }
}

/**
 * Makes a request and returns its text. Raises Refusal; an aborted request raises AbortError.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<string>}
 */
export async function callText(path, options = {}) {
  let response;
  let text;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...keyHeaders() } });
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw offline();
  }
  if (!response.ok) throw refusalIn(response.status, text, response.headers.get("Retry-After"));
  return text;
}

/**
 * Makes a request and returns its JSON, null for an empty answer. Raises like `callText`.
 * @param {string} path
 * @param {RequestInit} [options]
 */
export async function call(path, options = {}) {
  const text = await callText(path, options);
  return text ? parsed(text) : null;
}

/**
 * Options of a request with a JSON body.
 * @param {string} method
 * @param {unknown} body
 * @param {RequestInit} [more]
 * @returns {RequestInit}
 */
export function json(method, body, more = {}) {
  const headers = { "Content-Type": "application/json", ...more.headers };
  return { ...more, method, headers, body: JSON.stringify(body) };
}

/** The answer of GET /model. */
export function runningModel() {
  return call("/model");
}
