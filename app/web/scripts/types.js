// The shapes that modules of the page share, for editors and for `tsc --checkJs`.

/**
 * @typedef {{label: string, score: number, likelihood: string, similarity: number, rank: number,
 *   prompt: string, duration_ratio: number | null}} Tag
 * @typedef {{start: number, end: number, tags: {label: string, score: number}[]}} Segment
 * @typedef {{duration: number, fps: number, width: number, height: number, rotation: number,
 *   codec: string, sha256: string, warnings: string[]}} VideoFacts
 * @typedef {{request_id: string, video: VideoFacts, tags: Tag[], segments: Segment[],
 *   unknown: {score: number, is_unknown: boolean, duration_ratio: number | null}, kept: boolean,
 *   model: {id: string, revision: string}, label_set: {name: string | null, revision: number}}} Answer
 * @typedef {{done: number, total: number, duration: number, windows: Segment[]}} Progress
 *
 * @typedef {{label: string, start: number, end: number, score: number}} Span
 *
 * @typedef {{sha256: string, duration: number, metadata: Record<string, string>, kept_at: string,
 *   in_use: boolean, windows: {window_seconds: number, stride_seconds: number}}} KeptVideo
 *
 * @typedef {{name: string, prompts: string[], aliases: string[], threshold: number | null,
 *   description: string | null, language: string | null, enabled: boolean,
 *   metadata: object}} Label
 * @typedef {{name: string, revision: number, size: number}} LabelSet
 */

/**
 * What is asked about every video: words that are not stored, or a label set.
 * @typedef {{words: string[], set: string, minRevision: number}} Question
 */

/**
 * A video of the list.
 * @typedef {object} Entry
 * @property {number} id
 * @property {string} name
 * @property {File | null} file null for a kept video whose file was not chosen in this tab
 * @property {string} sha256 empty until it is known
 * @property {"waiting" | "hashing" | "sending" | "looking" | "asking" | "done" | "idle" | "cancelled"
 *   | "failed" | "outdated"} status idle: kept, and not asked yet
 * @property {boolean} kept whether the service keeps the analysis
 * @property {number} duration in seconds, 0 until it is known
 * @property {{window_seconds: number, stride_seconds: number} | null} windows those of the analysis
 * @property {number} share progress of the current step, 0 to 1; NaN if unknown
 * @property {number} secondsLeft NaN if unknown
 * @property {Segment[]} seen windows reported while the service works
 * @property {Answer | null} answer
 * @property {string} asked key of the question that the answer is for
 * @property {import("./api/call.js").Refusal | null} refusal
 * @property {AbortController | null} work ends the current work
 */

export {};
