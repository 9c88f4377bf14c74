// Takes each video to its answer: hash, look for its analysis, or else send it.

import { Refusal } from "../api/call.js";
import { classify } from "../api/upload.js";
import { askVideo } from "../api/videos.js";
import { bytes } from "../dom.js";
import { newEntry } from "./entries.js";
import { digestOf } from "./hash.js";
import { createPace } from "./pace.js";

/** @typedef {import("../types.js").Entry} Entry */

// One is received while another one is looked at.
const MAX_SENDING = 2;
const MAX_ASKING = 4;
const MAX_WAIT_SECONDS = 30;
// The service has another analysis than the question needs, or none.
const NEEDS_FILE = ["video_not_found", "analysis_outdated", "analysis_differs"];

export class Queue {
  /**
   * @param {import("./entries.js").Entries} entries
   * @param {import("../question/question.js").Asked} asked
   */
  constructor(entries, asked) {
    this.entries = entries;
    this.asked = asked;
    /** Whether analyses are kept: the person wants it, and the key allows it. */
    this.keeps = true;
    /** Whether every kept video is in the list, so that another one need not be looked for. */
    this.listsAll = false;
    /** Size that a file may have; a larger one is not sent. */
    this.maxBytes = Infinity;
    /** @type {Set<AbortController>} */
    this.sending = new Set();
    /** @type {Set<AbortController>} */
    this.asking = new Set();
  }

  /** @param {Iterable<File>} files */
  add(files) {
    const added = [...files].map((file) => newEntry({ name: file.name, file }));
    for (const entry of added.toReversed()) this.entries.prepend(entry);
    if (added.length) this.entries.select(added[0]);
    this.#start();
  }

  /** Starts or restarts the work of one entry. @param {Entry} entry */
  again(entry) {
    entry.work?.abort();
    const status = entry.kept || !entry.file ? "idle" : "waiting";
    this.entries.touch(entry, { status, refusal: null, share: NaN, work: null });
    this.#start();
  }

  /** Asks all kept videos again, the selected one first; others need their file and a click. */
  askAll() {
    for (const entry of this.entries.all) {
      if (!entry.kept || entry.status === "outdated") continue;
      if (["done", "failed", "asking"].includes(entry.status)) {
        entry.work?.abort();
        this.entries.touch(entry, { status: "idle", refusal: null, work: null });
      }
    }
    this.#start();
  }

  /** Continues what failed because the service was gone. */
  resume() {
    for (const entry of this.entries.all) {
      if (entry.status === "failed" && entry.refusal?.isOffline) this.again(entry);
    }
    this.#start();
  }

  /** @param {Entry} entry */
  cancel(entry) {
    entry.work?.abort();
    this.entries.touch(entry, { status: "cancelled", seen: [], work: null });
    this.#start();
  }

  #start() {
    const { all, selected } = this.entries;
    const waiting = all.filter(({ status }) => status === "waiting");
    while (this.sending.size < MAX_SENDING && waiting.length) {
      this.#run(/** @type {Entry} */ (waiting.shift()), this.sending, (entry, signal) =>
        this.#tag(entry, signal),
      );
    }
    const idle = all.filter(({ status }) => status === "idle");
    if (selected && idle.includes(selected)) idle.splice(0, idle.length, selected);
    // New words are embedded once, for the video that is looked at; the others find them there.
    else if (selected?.status === "asking") return;
    for (const entry of idle) {
      if (this.asking.size >= MAX_ASKING) break;
      this.#run(entry, this.asking, (each, signal) => this.#askKept(each, signal));
    }
  }

  /**
   * @param {Entry} entry
   * @param {Set<AbortController>} running
   * @param {(entry: Entry, signal: AbortSignal) => Promise<void>} work
   */
  async #run(entry, running, work) {
    const mine = new AbortController();
    const { keeps } = this;
    running.add(mine);
    const status = running === this.asking ? "asking" : "hashing";
    this.entries.touch(entry, { status, work: mine, refusal: null });
    try {
      await work(entry, mine.signal);
    } catch (error) {
      if (!mine.signal.aborted) this.#fail(entry, error, keeps);
    } finally {
      running.delete(mine);
      if (entry.work === mine) entry.work = null;
      this.#start();
    }
  }

  /** @param {Entry} entry @param {unknown} error @param {boolean} keeps as the work began */
  #fail(entry, error, keeps) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === "scope_missing" && keeps && entry.file) {
      // The key may tag videos but not keep them, as another entry may have found meanwhile.
      this.keeps = false;
      this.entries.touch(entry, { status: "waiting" });
      return;
    }
    if (NEEDS_FILE.includes(error.code)) entry.kept = false;
    this.entries.touch(entry, { status: "failed", refusal: error, seen: [] });
    if (!error.isPassing) return;
    const seconds = Math.min(error.retrySeconds || 1, MAX_WAIT_SECONDS);
    setTimeout(() => {
      if (entry.refusal === error) this.again(entry);
    }, seconds * 1000);
  }

  /** @param {Entry} entry @param {AbortSignal} signal */
  async #askKept(entry, signal) {
    const question = this.asked.now;
    const key = this.asked.key;
    const answer = await askVideo(entry.sha256, question, entry.windows, signal);
    this.#finish(entry, answer, key);
  }

  /** @param {Entry} entry @param {AbortSignal} signal */
  async #tag(entry, signal) {
    const file = /** @type {File} */ (entry.file);
    if (file.size > this.maxBytes) {
      throw new Refusal({
        title: "The file is too large",
        detail: `It has ${bytes(file.size)}; this service takes up to ${bytes(this.maxBytes)}.`,
      });
    }
    if (!entry.sha256) {
      const sha256 = await digestOf(file);
      if (signal.aborted) return;
      const known = this.entries.withDigest(sha256);
      if (known && known !== entry) {
        this.#join(entry, known);
        return;
      }
      this.entries.touch(entry, { sha256 });
    }
    const mayBeKept = this.keeps && !this.listsAll && entry.sha256 !== "";
    if (mayBeKept && (await this.#foundKept(entry, signal))) return;
    await this.#send(entry, file, signal);
  }

  /** The same video is in the list: the new entry only brings the file.
   * @param {Entry} entry
   * @param {Entry} known
   */
  #join(entry, known) {
    const wasSelected = this.entries.selected === entry;
    known.file ??= entry.file;
    this.entries.remove(entry);
    if (known.status === "outdated") known.status = "waiting";
    this.entries.touch(known);
    if (wasSelected) this.entries.select(known);
  }

  /** @param {Entry} entry @param {AbortSignal} signal */
  async #foundKept(entry, signal) {
    try {
      await this.#askKept(entry, signal);
      return true;
    } catch (error) {
      const isMissing = error instanceof Refusal && NEEDS_FILE.includes(error.code);
      if (!isMissing) throw error;
      return false;
    }
  }

  /** @param {Entry} entry @param {File} file @param {AbortSignal} signal */
  async #send(entry, file, signal) {
    const key = this.asked.key;
    let pace = createPace();
    this.entries.touch(entry, { status: "sending", share: 0, secondsLeft: NaN, seen: [] });
    const answer = await classify(file, this.asked.now, {
      keep: this.keeps,
      signal,
      onUpload: (share) => {
        if (share < 1) {
          this.entries.touch(entry, { share, secondsLeft: pace(share) });
          return;
        }
        pace = createPace();
        this.entries.touch(entry, { status: "looking", share: NaN, secondsLeft: NaN });
      },
      onProgress: ({ done, total, duration, windows }) => {
        const share = done / total;
        entry.seen.push(...windows);
        this.entries.touch(entry, { share, secondsLeft: pace(share), duration });
      },
    });
    if (answer) this.#finish(entry, answer, key);
  }

  /**
   * @param {Entry} entry
   * @param {import("../types.js").Answer} answer
   * @param {string} key of the question that was asked
   */
  #finish(entry, answer, key) {
    const isCurrent = key === this.asked.key;
    this.entries.touch(entry, {
      status: isCurrent || !answer.kept ? "done" : "idle",
      kept: answer.kept,
      sha256: answer.video.sha256,
      duration: answer.video.duration,
      answer,
      asked: key,
      seen: [],
      share: NaN,
    });
  }
}
