// The buttons that take an answer elsewhere: files and the address.

import { at } from "../dom.js";
import { FORMATS, save, spansAbove } from "./exports.js";

/**
 * @param {import("../videos/entries.js").Entries} entries
 * @param {() => number} threshold
 */
export function createShare(entries, threshold) {
  const menu = at("share");

  /** @param {string} format */
  function download(format) {
    const entry = entries.selected;
    if (!entry?.answer) return;
    const { type, write } = FORMATS[format];
    const text = write(entry.answer, spansAbove(entry.answer, threshold()), entry.name);
    save(text, `${entry.name.replace(/\.[^.]{1,5}$/, "")}.${format}`, type);
  }

  for (const each of menu.querySelectorAll("[data-format]")) {
    each.addEventListener("click", () => {
      download(each.dataset.format);
      menu.open = false;
    });
  }
  at("copy-link").addEventListener("click", async () => {
    const note = at("copy-note");
    try {
      await navigator.clipboard.writeText(location.href);
      note.textContent = "Copied.";
    } catch {
      note.textContent = "Copy the address of this page instead.";
    }
  });
  // Like a menu: it closes with Escape, and when the focus or the pointer goes elsewhere.
  menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("focusout", (/** @type {FocusEvent} */ event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
}
