// One label: its words, its threshold and its examples.

import { forgetExample, putLabels, readExamples, teachFiles, writable } from "../api/labels.js";
import { at, button, counted, element, percent } from "../dom.js";

/** @typedef {import("../types.js").Label} Label */

/** @param {string} text */
const linesOf = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** The slider's value of a threshold, in whole percents. @param {number | null} threshold */
const onSlider = (threshold) => String(Math.round((threshold ?? 0) * 100));

/**
 * @param {{attempt: (work: () => Promise<void>) => Promise<boolean>,
 *   onWritten: (revision: number, text: string) => Promise<void>, onClose: () => void}} options
 */
export function createEditor({ attempt, onWritten, onClose }) {
  const form = at("editor");
  const files = at("example-files");
  const slider = at("label-threshold");
  /** @type {Label | null} */
  let label = null;
  let set = "";

  function drawThreshold() {
    const value = Number(slider.value);
    at("label-threshold-text").textContent = value ? `from ${value} %` : "always";
  }

  /** @param {any} answer */
  function drawExamples({ items, weight }) {
    const rows = items.map((/** @type {any} */ item, /** @type {number} */ index) => {
      const day = new Date(item.created_at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
      const note = item.in_use ? "" : " · of another model, not used";
      const forget = button("Forget", "small", () => change(async () => {
        const answer = await forgetExample(set, /** @type {Label} */ (label).name, item.sha256);
        return { answer, text: "Forgotten." };
      }), `Forget example ${index + 1}`);
      return element("li", "", element("span", "", `${index + 1}. ${day}${note}`), forget);
    });
    at("examples-list").replaceChildren(...rows);
    at("examples-note").textContent = items.length
      ? `${counted(items.length, "example")} with ${percent(weight)} of the weight; the words have the rest.`
      : "None yet. Choose short videos that show it, or press “Right” beside a tag.";
  }

  /** Reads and draws the examples, unless another label was opened meanwhile. */
  async function showExamples() {
    const shown = /** @type {Label} */ (label);
    const answer = await readExamples(set, shown.name);
    if (label === shown) drawExamples(answer);
  }

  /** @param {() => Promise<{answer: any, text: string}>} write */
  async function change(write) {
    await attempt(async () => {
      const { answer, text } = await write();
      await showExamples();
      await onWritten(answer.label_set.revision, text);
    });
  }

  function close() {
    form.hidden = true;
    at("labels-all").hidden = false;
    onClose();
  }

  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const known = /** @type {Label} */ (label);
    attempt(async () => {
      const isMoved = slider.value !== onSlider(known.threshold);
      const threshold = isMoved ? Number(slider.value) / 100 || null : known.threshold;
      const changed = {
        ...writable(known),
        prompts: linesOf(at("label-prompts").value),
        aliases: linesOf(at("label-aliases").value),
        enabled: at("label-enabled").checked,
        threshold,
      };
      const answer = await putLabels(set, [changed]);
      const warnings = answer.warnings.map((/** @type {any} */ warning) => warning.detail);
      await onWritten(answer.label_set.revision, [`Saved “${known.name}”.`, ...warnings].join(" "));
      close();
    });
  });
  slider.addEventListener("input", drawThreshold);
  at("editor-back").addEventListener("click", close);
  at("examples-add").addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    const chosen = [...files.files];
    files.value = "";
    if (!chosen.length) return;
    at("examples-note").textContent = `Looking at ${counted(chosen.length, "video")} …`;
    change(async () => {
      const answer = await teachFiles(set, /** @type {Label} */ (label).name, chosen);
      return { answer, text: `“${label?.name}” learned from ${counted(answer.added, "video")}.` };
    });
  });

  return {
    /** @param {string} name @param {Label} edited */
    open(name, edited) {
      set = name;
      label = edited;
      at("editor-title").textContent = edited.name;
      at("label-prompts").value = edited.prompts.join("\n");
      at("label-aliases").value = edited.aliases.join("\n");
      at("label-enabled").checked = edited.enabled;
      slider.value = onSlider(edited.threshold);
      drawThreshold();
      at("examples-list").replaceChildren();
      at("examples-note").textContent = "…";
      at("labels-all").hidden = true;
      form.hidden = false;
      at("editor-back").focus();
      attempt(showExamples);
    },
  };
}
