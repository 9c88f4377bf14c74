// How much time a step that reports its progress has left.

/**
 * Returns a function that takes the share done, 0 to 1, and gives the seconds left; NaN while that
 * cannot be told.
 */
export function createPace() {
  const began = performance.now();
  /** @type {number | null} */
  let first = null;
  return (/** @type {number} */ share) => {
    first ??= share;
    const seconds = (performance.now() - began) / 1000;
    const done = share - first;
    return seconds > 1 && done > 0 ? (seconds / done) * (1 - share) : NaN;
  };
}
