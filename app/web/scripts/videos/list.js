// The list of videos: those of the queue and those that are kept, as one list box.

import { Refusal } from "../api/call.js";
import { at, chosen, clock, element, oncePerFrame } from "../dom.js";
import { statusOf, summaryOf } from "../answer/view.js";
import { CHANGED, SELECTED } from "./entries.js";

/** @typedef {import("../types.js").Entry} Entry */

/**
 * @param {import("./entries.js").Entries} entries
 * @param {{word: (score: number) => string, forget: (entry: Entry) => Promise<void>}} options
 *   forget deletes what the service keeps
 */
export function createList(entries, { word, forget }) {
  const list = at("videos");
  /** @type {Map<Entry, HTMLElement>} */
  const rows = new Map();

  /** @param {Entry} entry */
  function makeRow(entry) {
    const row = element("li", "entry");
    const choose = element("button", "entry-choose");
    /** @type {HTMLButtonElement} */ (choose).type = "button";
    const line = element("span", "entry-line", element("span", "entry-state"));
    choose.append(element("span", "entry-name"), line);
    choose.addEventListener("click", () => entries.select(entry));
    const remove = element("button", "entry-remove", "×");
    /** @type {HTMLButtonElement} */ (remove).type = "button";
    remove.addEventListener("click", () => takeAway(entry));
    row.append(choose, remove, element("span", "entry-bar"));
    return row;
  }

  /** @param {Entry} entry */
  async function takeAway(entry) {
    if (entry.kept) {
      const text = `Delete what is kept of “${entry.name}”? It has to be sent again to be asked again.`;
      const choice = await chosen(text, [["delete", "Delete"], ["", "Keep it"]]);
      if (choice !== "delete") return;
      try {
        await forget(entry);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        // Another tab or client may have deleted it.
        if (error.code !== "video_not_found") {
          entries.touch(entry, { refusal: error });
          entries.select(entry);
          return;
        }
      }
    }
    entry.work?.abort();
    const index = entries.all.indexOf(entry);
    entries.remove(entry);
    draw();
    const next = entries.all[Math.min(index, entries.all.length - 1)];
    const row = next && rows.get(next);
    /** @type {HTMLElement} */ (row?.querySelector(".entry-choose") ?? at("file")).focus();
  }

  /** @param {Entry} entry @param {HTMLElement} row */
  function fill(entry, row) {
    const part = (/** @type {string} */ name) =>
      /** @type {HTMLElement} */ (row.querySelector(name));
    const length = entry.duration ? clock(entry.duration, entry.duration) : "";
    const state = statusOf(entry) || summaryOf(entry, word) || "…";
    part(".entry-name").textContent = entry.name;
    part(".entry-state").textContent = [length, state].filter(Boolean).join(" · ");
    part(".entry-remove").setAttribute("aria-label", `Remove ${entry.name}`);
    part(".entry-remove").title = "Remove";
    row.classList.toggle("failed", entry.status === "failed" && !entry.refusal?.isPassing);
    row.classList.toggle("busy", ["sending", "looking", "hashing"].includes(entry.status));
    const share = Number.isFinite(entry.share) ? entry.share : 0;
    part(".entry-bar").style.setProperty("--share", String(share));
    const isSelected = entry === entries.selected;
    row.classList.toggle("selected", isSelected);
    part(".entry-choose").setAttribute("aria-current", String(isSelected));
  }

  function draw() {
    for (const [entry, row] of rows) {
      if (entries.all.includes(entry)) continue;
      row.remove();
      rows.delete(entry);
    }
    entries.all.forEach((entry, index) => {
      const row = rows.get(entry) ?? makeRow(entry);
      rows.set(entry, row);
      fill(entry, row);
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    at("videos-empty").hidden = entries.all.length > 0;
    const count = entries.all.length;
    at("videos-count").textContent = count ? String(count) : "";
  }

  const soon = oncePerFrame(draw);
  entries.addEventListener(CHANGED, soon);
  entries.addEventListener(SELECTED, draw);
  return { draw };
}
