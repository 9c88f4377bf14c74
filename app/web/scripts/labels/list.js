// The labels of a set: one stop of the Tab key, arrow keys inside, Delete removes.

import { at, element, fromTemplate } from "../dom.js";
import { labelKey } from "../question/question.js";

/** @typedef {import("../types.js").Label} Label */

const MAX_SHOWN = 600;

/**
 * @param {{onOpen: (label: Label) => void, onRemove: (label: Label) => void}} options
 */
export function createLabelList({ onOpen, onRemove }) {
  const list = at("labels-list");
  /** @type {Label[]} */
  let all = [];
  /** @type {Label[]} */
  let shown = [];
  let current = 0;

  /** @param {Label} label */
  function notesOf(label) {
    const notes = [];
    if (!label.enabled) notes.push("off");
    if (label.threshold !== null) notes.push(`from ${Math.round(label.threshold * 100)} %`);
    if (label.prompts.length) notes.push(`${label.prompts.length} descriptions`);
    return notes.join(" · ");
  }

  /** @param {Label} label */
  function row(label) {
    const made = fromTemplate("label-row");
    const open = /** @type {HTMLElement} */ (made.querySelector(".label-open"));
    open.append(label.name, element("span", "note", notesOf(label)));
    open.title = "Edit";
    open.addEventListener("click", () => onOpen(label));
    const remove = /** @type {HTMLElement} */ (made.querySelector(".remove"));
    remove.setAttribute("aria-label", `Remove ${label.name}`);
    remove.addEventListener("click", () => onRemove(label));
    made.classList.toggle("is-off", !label.enabled);
    return made;
  }

  /** @param {number} index */
  function parts(index) {
    const row = list.children[index];
    return /** @type {HTMLElement[]} */ (row ? [...row.querySelectorAll("button")] : []);
  }

  /** Makes one row the stop of the Tab key. @param {number} index @param {boolean} [focuses] */
  function makeCurrent(index, focuses = false) {
    for (const part of parts(current)) part.tabIndex = -1;
    current = Math.max(0, Math.min(index, shown.length - 1));
    for (const part of parts(current)) part.tabIndex = 0;
    if (focuses) parts(current)[0]?.focus();
  }

  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    /** @type {Record<string, number>} */
    const targets = { ArrowDown: current + 1, ArrowUp: current - 1, Home: 0, End: shown.length - 1 };
    if (event.key in targets) {
      event.preventDefault();
      makeCurrent(targets[event.key], true);
    } else if (event.key === "Delete" && shown[current]) onRemove(shown[current]);
  });
  list.addEventListener("focusin", (/** @type {FocusEvent} */ event) => {
    const index = [...list.children].findIndex((row) => row.contains(/** @type {Node} */ (event.target)));
    if (index >= 0 && index !== current) makeCurrent(index);
  });

  return {
    /** Draws labels; returns how many are left out. @param {Label[]} labels */
    draw(labels) {
      const hadFocus = list.contains(document.activeElement);
      all = labels;
      shown = labels.slice(0, MAX_SHOWN);
      list.replaceChildren(...shown.map(row));
      makeCurrent(current, hadFocus);
      return labels.length - shown.length;
    },
    focus() {
      makeCurrent(current, true);
    },
    /** The focused row goes away with the next drawing: its neighbour gets the focus. */
    focusNeighbour() {
      makeCurrent(current > 0 && current === shown.length - 1 ? current - 1 : current, true);
    },
    /** Scrolls only the list, not the page. @param {string} name */
    show(name) {
      const isWanted = (/** @type {Label} */ label) => labelKey(label.name) === labelKey(name);
      const left = all.slice(MAX_SHOWN).find(isWanted);
      if (left) {
        shown.unshift(left);
        list.prepend(row(left));
      }
      const index = shown.findIndex(isWanted);
      if (index < 0) return;
      makeCurrent(index);
      const fresh = /** @type {HTMLElement} */ (list.children[index]);
      fresh.classList.add("fresh");
      const box = list.parentElement;
      box.scrollTop = fresh.offsetTop - box.offsetTop - box.clientHeight / 2;
    },
  };
}
