// The videos of the page: those of the queue and those that the service keeps.

/** @typedef {import("../types.js").Entry} Entry */

export const CHANGED = "entries-changed";
export const SELECTED = "entry-selected";

let lastId = 0;

/**
 * @param {Partial<Entry>} given
 * @returns {Entry}
 */
export function newEntry(given) {
  return {
    id: ++lastId,
    name: "",
    file: null,
    sha256: "",
    status: "waiting",
    kept: false,
    duration: 0,
    windows: null,
    share: NaN,
    secondsLeft: NaN,
    seen: [],
    answer: null,
    asked: "",
    refusal: null,
    work: null,
    ...given,
  };
}

/** The entry of a kept video.
 * @param {import("../types.js").KeptVideo} video
 */
export function entryOf(video) {
  return newEntry({
    name: video.metadata.name || `${video.sha256.slice(0, 12)}…`,
    sha256: video.sha256,
    status: video.in_use ? "idle" : "outdated",
    kept: video.in_use,
    duration: video.duration,
    windows: {
      window_seconds: video.windows.window_seconds,
      stride_seconds: video.windows.stride_seconds,
    },
  });
}

export class Entries extends EventTarget {
  constructor() {
    super();
    /** @type {Entry[]} newest first */
    this.all = [];
    /** @type {Entry | null} */
    this.selected = null;
  }

  /** @param {string} sha256 */
  withDigest(sha256) {
    return this.all.find((entry) => sha256 !== "" && entry.sha256 === sha256) ?? null;
  }

  /** @param {Entry} entry */
  prepend(entry) {
    this.all.unshift(entry);
    this.touch(entry);
  }

  /** @param {Entry} entry */
  append(entry) {
    this.all.push(entry);
    this.touch(entry);
  }

  /** @param {Entry} entry */
  remove(entry) {
    const index = this.all.indexOf(entry);
    if (index < 0) return;
    this.all.splice(index, 1);
    if (this.selected === entry) this.select(this.all[Math.min(index, this.all.length - 1)] ?? null);
    this.touch(entry);
  }

  /** @param {Entry | null} entry */
  select(entry) {
    if (this.selected === entry) return;
    this.selected = entry;
    this.dispatchEvent(new Event(SELECTED));
  }

  /**
   * Changes an entry and says so.
   * @param {Entry} entry
   * @param {Partial<Entry>} [changes]
   */
  touch(entry, changes = {}) {
    Object.assign(entry, changes);
    this.dispatchEvent(new CustomEvent(CHANGED, { detail: entry }));
  }
}
