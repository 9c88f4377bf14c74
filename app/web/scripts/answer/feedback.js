// "Right" and "Wrong" beside a tag: the span teaches a stored label.

import { Refusal } from "../api/call.js";
import { putLabels, readLabel, teachSpan } from "../api/labels.js";
import { at, button, drawRefusal, element, fromTemplate, percent, times } from "../dom.js";
import { saveWords } from "../question/bar.js";
import { labelKey } from "../question/question.js";
import { bestOf } from "./spans.js";

/** @typedef {import("../types.js").Entry} Entry */
/** @typedef {import("../types.js").Span} Span */

/**
 * Returns a function that makes the buttons of a row of tags; null where nothing can be taught.
 * @param {import("../question/question.js").Asked} asked
 * @param {import("../question/sets.js").Sets} sets
 */
export function createFeedback(asked, sets) {
  const toast = at("taught");

  /** @param {() => Promise<number>} write returns the set's new revision */
  async function attempt(write) {
    drawRefusal(at("problem"), null);
    try {
      const revision = await write();
      asked.change({ minRevision: revision });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      drawRefusal(at("problem"), error);
    }
  }

  /** Makes sure that the question has stored labels. */
  async function hasStoredLabels() {
    if (!asked.isAdHoc) return true;
    return saveWords(asked, sets, "Only stored labels can learn. Save these words as a label set:");
  }

  /** @param {Entry} entry @param {string} label @param {Span} span */
  async function teach(entry, label, span) {
    if (!(await hasStoredLabels())) return;
    await attempt(async () => {
      const { set } = asked.now;
      const known = entry.answer?.tags.some((tag) => labelKey(tag.label) === labelKey(label));
      if (!known && !(await readLabel(set, label))) await putLabels(set, [label]);
      const { start, end } = span;
      const taught = await teachSpan(set, label, { video: entry.sha256, start, end });
      const share = percent(taught.weight);
      const count = taught.examples === 1 ? "1 example has" : `${taught.examples} examples have`;
      toast.textContent = `“${label}” learned: ${count} ${share} of the weight, its words the rest.`;
      return taught.label_set.revision;
    });
  }

  /** @param {string} label @param {number} score */
  async function hideBelow(label, score) {
    if (!(await hasStoredLabels())) return;
    await attempt(async () => {
      const { set } = asked.now;
      const stored = await readLabel(set, label);
      if (!stored) throw new Refusal({ title: `“${label}” is not in the label set any more` });
      const threshold = Math.min(1, Math.ceil(score * 100 + 0.5) / 100);
      const answer = await putLabels(set, [{ ...stored, threshold }]);
      toast.textContent = `“${label}” is only shown from ${percent(threshold)} on.`;
      return answer.label_set.revision;
    });
  }

  /** @param {Entry} entry @param {string} label @param {Span} span @param {HTMLElement} box */
  function askWhat(entry, label, span, box) {
    const form = /** @type {HTMLFormElement} */ (fromTemplate("wrong-form"));
    const field = /** @type {HTMLInputElement} */ (form.querySelector("input"));
    const hide = button(`Hide “${label}” at ${percent(span.score)}`, "small", () =>
      hideBelow(label, span.score),
    );
    hide.title = "Gives the label a minimum score that this span does not reach.";
    form.querySelector(".buttons")?.append(hide);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) teach(entry, field.value.trim(), span);
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      form.remove();
      /** @type {HTMLElement} */ (box.lastElementChild).focus();
    });
    box.after(form);
    field.focus();
  }

  return (/** @type {Entry} */ entry, /** @type {{label: string, score: number, spans: Span[]}} */ { label, score, spans }) => {
    if (!entry.kept || !entry.answer || entry.seen.length) return null;
    const { duration } = entry.answer.video;
    const span = spans.length ? bestOf(spans) : { label, start: 0, end: duration, score };
    const where = `${label}, ${times(span, duration)}`;
    const box = element("div", "judge");
    box.append(
      button("Right", "small", () => teach(entry, label, span), `Right: ${where}`),
      button("Wrong", "small", () => {
        const next = box.nextElementSibling;
        if (next) next.remove();
        else askWhat(entry, label, span, box);
      }, `Wrong: ${where}`),
    );
    return box;
  };
}
