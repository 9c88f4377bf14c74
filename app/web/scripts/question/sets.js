// The label sets of the service, and the labels of the one that is asked, for completion.

import { readSets } from "../api/labels.js";
import { CHANGED } from "./question.js";

export class Sets extends EventTarget {
  constructor() {
    super();
    /** @type {import("../types.js").LabelSet[]} */
    this.all = [];
  }

  /** Reads them again. Raises Refusal. */
  async load() {
    this.all = await readSets();
    this.dispatchEvent(new Event(CHANGED));
  }

  /** @param {string} name */
  sizeOf(name) {
    return this.all.find((set) => set.name === name)?.size ?? null;
  }
}
