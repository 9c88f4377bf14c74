// The bar "What to look for": chips of words, or a label set.

import { createSet } from "../api/labels.js";
import { Refusal } from "../api/call.js";
import { at, button, counted, drawRefusal, element } from "../dom.js";
import { CHANGED, wordsIn } from "./question.js";

/**
 * @param {import("./question.js").Asked} asked
 * @param {import("./sets.js").Sets} sets
 */
export function createBar(asked, sets) {
  const field = at("word");
  const chips = at("chips");
  const choice = at("set");

  /** @param {string} word */
  function chip(word) {
    const remove = button("×", "", () => {
      const others = [...chips.querySelectorAll("button")];
      const next = others[others.indexOf(remove) + 1];
      asked.removeWord(word);
      const name = next?.getAttribute("aria-label");
      const left = [...chips.querySelectorAll("button")];
      (left.find((each) => each.getAttribute("aria-label") === name) ?? field).focus();
    }, `Remove ${word}`);
    return element("li", "chip", element("span", "", word), remove);
  }

  function draw() {
    const { words, set } = asked.now;
    chips.replaceChildren(...words.map(chip));
    chips.hidden = words.length === 0;
    at("set-choice").classList.toggle("off", words.length > 0);
    at("words-tools").hidden = words.length === 0;
    field.placeholder = words.length ? "another action" : "juggling, riding a horse, …";
    const size = sets.sizeOf(set);
    const all = size === null ? "every label" : counted(size, "label");
    at("question-note").textContent = words.length
      ? `${counted(words.length, "word")} asked, not stored.`
      : `Nothing typed: ${all} of “${set}” ${size === 1 ? "is" : "are"} asked.`;
  }

  function drawSets() {
    const options = sets.all.map(({ name, size }) => {
      const option = /** @type {HTMLOptionElement} */ (
        element("option", "", `${name} (${counted(size, "label")})`)
      );
      option.value = name;
      return option;
    });
    choice.replaceChildren(...options);
    choice.value = asked.now.set;
    draw();
  }

  function take() {
    const words = wordsIn(field.value);
    field.value = "";
    asked.addWords(words);
  }

  at("question").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    take();
  });
  field.addEventListener("input", () => {
    // A comma ends a word, outside quotes.
    const isQuoted = (field.value.match(/"/g) ?? []).length % 2 === 1;
    if (/[,\n]\s*$/.test(field.value) && !isQuoted) take();
  });
  field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const last = asked.now.words.at(-1);
    if (event.key === "Backspace" && field.value === "" && last) asked.removeWord(last);
  });
  choice.addEventListener("change", () => {
    asked.change({ set: choice.value, words: [], minRevision: 0 });
  });
  at("words-clear").addEventListener("click", () => {
    asked.change({ words: [] });
    field.focus();
  });
  at("save-cancel").addEventListener("click", () => at("save").close(""));
  at("words-save").addEventListener("click", () => saveWords(asked, sets));
  asked.addEventListener(CHANGED, drawSets);
  sets.addEventListener(CHANGED, drawSets);
  draw();
}

/**
 * Asks for a name and stores the words as a label set, which is then asked.
 * @param {import("./question.js").Asked} asked
 * @param {import("./sets.js").Sets} sets
 * @param {string} [reason] why they have to be stored
 * @returns {Promise<boolean>} whether they were
 */
export function saveWords(asked, sets, reason = "") {
  const dialog = at("save");
  const form = at("save-form");
  const name = at("save-name");
  at("save-reason").textContent = reason;
  drawRefusal(at("save-problem"), null);
  dialog.returnValue = "";
  dialog.showModal();
  const { words } = asked.now;
  form.onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const wanted = name.value.trim();
    if (!wanted) return;
    try {
      const answer = await createSet(wanted, { labels: words });
      await sets.load();
      name.value = "";
      dialog.close("saved");
      asked.change({ set: wanted, words: [], minRevision: answer.label_set.revision });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isTaken = error.code === "revision_mismatch";
      const taken = new Refusal({ title: `There is a label set “${wanted}” already`, detail: "" });
      drawRefusal(at("save-problem"), isTaken ? taken : error);
    }
  };
  return new Promise((resolve) => {
    const onClose = () => resolve(dialog.returnValue === "saved");
    dialog.addEventListener("close", onClose, { once: true });
  });
}
