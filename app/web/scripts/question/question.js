// The question that is asked about every video, and who is told when it changes.

/** @typedef {import("../types.js").Question} Question */

export const CHANGED = "question-changed";

/** A text that is equal for equal questions.
 * @param {Question} question
 */
export function keyOf({ words, set, minRevision }) {
  return JSON.stringify(words.length ? words : { set, minRevision });
}

/** Names that the service takes for the same label have the same key.
 * @param {string} name
 */
export function labelKey(name) {
  const visible = name.normalize("NFKC").replace(/\p{Default_Ignorable_Code_Point}/gu, "");
  const plain = visible
    .replace(/[\u2018\u2019\u201b\u02bc]/g, "'")
    .replace(/[\u201c\u201d\u201f]/g, '"')
    .replace(/[\u2010-\u2013\u2212]/g, "-");
  return plain.trim().replace(/\s+/gu, " ").toLowerCase();
}

/**
 * The labels in a text that people type: separated by commas or lines; one that contains a comma is
 * in double quotes.
 * @param {string} text
 * @returns {string[]}
 */
export function wordsIn(text) {
  const parts = text.match(/\s*"[^"]*"|[^,\n]+/g) ?? [];
  return parts.map((part) => part.trim().replace(/^"|"$/g, "").trim()).filter(Boolean);
}

export class Asked extends EventTarget {
  /** @param {{words: string[], set: string}} initial */
  constructor({ words, set }) {
    super();
    /** @type {Question} */
    this.now = { words, set: set || "default", minRevision: 0 };
  }

  get key() {
    return keyOf(this.now);
  }

  /** Whether labels are sent with the request, instead of a stored set. */
  get isAdHoc() {
    return this.now.words.length > 0;
  }

  /** @param {Partial<Question>} changes */
  change(changes) {
    const before = this.key;
    this.now = { ...this.now, ...changes };
    if (this.key !== before) this.dispatchEvent(new Event(CHANGED));
  }

  /** @param {string[]} words those that are asked already are left out */
  addWords(words) {
    const known = new Set(this.now.words.map(labelKey));
    const added = words.filter((word) => {
      const key = labelKey(word);
      return key && !known.has(key) && known.add(key);
    });
    if (added.length) this.change({ words: [...this.now.words, ...added] });
    return added;
  }

  /** @param {string} word */
  removeWord(word) {
    this.change({ words: this.now.words.filter((each) => each !== word) });
  }
}
