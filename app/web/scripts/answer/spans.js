// Segments of an answer as spans of labels, and what they leave out. No elements here.

/** @typedef {import("../types.js").Span} Span */
/** @typedef {import("../types.js").Segment} Segment */

const TOUCHING_SECONDS = 0.001;
// A shorter gap between two spans is not worth a mark.
const MIN_GAP_SHARE = 0.01;

/**
 * The spans of each label by time; the label with the best span first.
 * @param {Segment[]} segments
 * @returns {Map<string, Span[]>}
 */
export function spansByLabel(segments) {
  /** @type {Map<string, Span[]>} */
  const found = new Map();
  for (const { start, end, tags } of segments) {
    for (const { label, score } of tags) {
      const spans = found.get(label) ?? [];
      found.set(label, spans);
      const last = spans.at(-1);
      // A segment ends where any label's span does: this label may continue in the next segment.
      if (last && start - last.end < TOUCHING_SECONDS) {
        last.end = Math.max(last.end, end);
        last.score = Math.max(last.score, score);
      } else {
        spans.push({ label, start, end, score });
      }
    }
  }
  return new Map([...found].sort(([, a], [, b]) => bestOf(b).score - bestOf(a).score));
}

/**
 * The span with the highest score; the earliest of equal ones.
 * @param {Span[]} spans at least one
 */
export function bestOf(spans) {
  return spans.reduce((best, span) => (span.score > best.score ? span : best));
}

/**
 * Segments of the windows that are reported so far, as the service makes them at the end: without
 * tags that are weak compared with the best one.
 * @param {Segment[]} seen
 * @returns {Segment[]}
 */
export function segmentsSoFar(seen) {
  const min = Math.max(...seen.flatMap(({ tags }) => tags.map(({ score }) => score))) / 2;
  return seen.map(({ start, end, tags }) => {
    return { start, end, tags: tags.filter(({ score }) => score >= min) };
  });
}

/**
 * The parts of a video that no span covers.
 * @param {Span[]} spans
 * @param {number} duration in seconds
 * @returns {{start: number, end: number}[]}
 */
export function gapsBetween(spans, duration) {
  const gaps = [];
  let covered = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start - covered > duration * MIN_GAP_SHARE) gaps.push({ start: covered, end: start });
    covered = Math.max(covered, end);
  }
  if (duration - covered > duration * MIN_GAP_SHARE) gaps.push({ start: covered, end: duration });
  return gaps;
}

/**
 * What the tag list shows of an entry: one row per label, the best first.
 * @param {import("../types.js").Entry} entry
 * @returns {{label: string, score: number, prompt: string, similarity: number, ratio: number | null,
 *   spans: Span[]}[]}
 */
export function rowsOf({ answer, seen }) {
  if (seen.length) {
    return [...spansByLabel(segmentsSoFar(seen))].map(([label, spans]) => {
      return { label, score: bestOf(spans).score, prompt: label, similarity: NaN, ratio: null, spans };
    });
  }
  if (!answer) return [];
  const spans = spansByLabel(answer.segments);
  return answer.tags.map(({ label, score, prompt, similarity, duration_ratio: ratio }) => {
    return { label, score, prompt, similarity, ratio, spans: spans.get(label) ?? [] };
  });
}
