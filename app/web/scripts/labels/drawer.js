// The drawer "Labels": one label set, its labels, and the label that is edited.

import { Refusal } from "../api/call.js";
import { createSet, deleteLabel, deleteSet, putLabels, readExamples, readLabels, writable } from "../api/labels.js";
import { at, chosen, counted, drawRefusal } from "../dom.js";
import { CHANGED, labelKey } from "../question/question.js";
import { createEditor } from "./editor.js";
import { createLabelList } from "./list.js";
import { createTransfer } from "./transfer.js";

/** @typedef {import("../types.js").Label} Label */

const SEARCH_DELAY_MS = 250;

/**
 * @param {import("../question/question.js").Asked} asked
 * @param {import("../question/sets.js").Sets} sets
 * @param {(label: string) => Promise<string>} scoreOf says how a label fits the selected video,
 *   whatever its rank; "" if no video is selected
 */
export function createDrawer(asked, sets, scoreOf) {
  const drawer = at("drawer");
  const field = at("label-name");
  const add = at("label-add");
  const undo = at("undo");
  /** @type {Label[]} */
  let items = [];
  // False if the set is too large to be held here: the service then searches it.
  let complete = true;
  let loadedSet = "";
  let requests = 0;
  /** @type {Partial<Label> | null} */
  let removed = null;

  const list = createLabelList({ onOpen: (label) => editor.open(asked.now.set, label), onRemove: remove });
  const editor = createEditor({
    attempt,
    onWritten: async (revision, text) => {
      await written(revision, text);
    },
    onClose: () => list.focus(),
  });
  createTransfer({ attempt, set: () => asked.now.set, onWritten: written });

  /** @param {string} text */
  function say(text) {
    at("labels-status").textContent = text;
  }

  function draw() {
    const wanted = labelKey(field.value);
    const words = wanted.split(" ");
    const matching = items.filter((label) => {
      const texts = [label.name, ...label.aliases].map(labelKey);
      return words.every((word) => texts.some((text) => text.includes(word)));
    });
    const isKnown = items.some((label) => labelKey(label.name) === wanted);
    add.disabled = loadedSet === "" || wanted === "" || isKnown;
    add.textContent = isKnown ? "Added" : "Add";
    const more = list.draw(matching);
    let note = "";
    if (loadedSet === "") note = "Loading the labels …";
    else if (!items.length && !wanted) note = "There is no label yet. Add the first one above.";
    else if (!matching.length) note = `No label contains “${field.value.trim()}”. Add it?`;
    else if (more > 0) note = `${more} more: type to narrow the list.`;
    else if (!complete) note = `Only ${items.length} labels are listed: type to search all of them.`;
    at("labels-empty").textContent = note;
    at("labels-empty").hidden = note === "";
    const size = sets.sizeOf(asked.now.set);
    at("labels-count").textContent = size === null ? "" : counted(size, "label");
    at("set-delete").hidden = asked.now.set === "default";
    at("drawer-set").textContent = asked.now.set;
  }

  /** Does some work; shows a refusal and returns false if there is one.
   * @param {() => Promise<void>} work
   */
  async function attempt(work) {
    drawRefusal(at("labels-problem"), null);
    undo.hidden = true;
    drawer.setAttribute("aria-busy", "true");
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say("");
      drawRefusal(at("labels-problem"), error);
      return false;
    } finally {
      drawer.removeAttribute("aria-busy");
    }
  }

  async function load() {
    const request = ++requests;
    const { set } = asked.now;
    if (set !== loadedSet) complete = true;
    await attempt(async () => {
      const answer = await readLabels(set, complete ? "" : field.value);
      if (request !== requests) return;
      items = answer.items.sort((a, b) => a.name.localeCompare(b.name, "en"));
      complete &&= answer.complete;
      loadedSet = set;
      draw();
    });
  }

  /** After a write: shows it, and asks all videos again.
   * @param {number} revision
   * @param {string} text
   */
  async function written(revision, text) {
    say(text);
    asked.change({ minRevision: revision, words: [] });
    await Promise.all([sets.load(), load()]);
  }

  /** @param {Partial<Label>} label @param {string} done */
  async function put(label, done) {
    return attempt(async () => {
      const answer = await putLabels(asked.now.set, [label]);
      const warnings = answer.warnings.map((/** @type {any} */ warning) => warning.detail);
      field.value = "";
      const name = /** @type {string} */ (label.name);
      await written(answer.label_set.revision, [done, ...warnings].join(" "));
      list.show(name);
      say([done, await scoreOf(name), ...warnings].filter(Boolean).join(" "));
    });
  }

  /** @param {Label} label */
  async function remove(label) {
    const { set } = asked.now;
    await attempt(async () => {
      const { items: examples } = await readExamples(set, label.name);
      if (examples.length) {
        const text = `“${label.name}” has ${counted(examples.length, "example")}, which cannot be brought back.`;
        const choice = await chosen(text, [
          ["delete", "Delete both"], ["off", "Only turn the label off"], ["", "Keep it"],
        ]);
        if (choice === "off") {
          const answer = await putLabels(set, [{ ...writable(label), enabled: false }]);
          await written(answer.label_set.revision, `“${label.name}” is off.`);
        }
        if (choice !== "delete") return;
      }
      const answer = await deleteLabel(set, label.name);
      removed = examples.length ? null : writable(label);
      list.focusNeighbour();
      await written(answer.label_set.revision, `Removed “${label.name}”.`);
      undo.hidden = removed === null;
    });
  }

  let pause = 0;
  field.addEventListener("input", () => {
    draw();
    clearTimeout(pause);
    if (!complete) pause = setTimeout(load, SEARCH_DELAY_MS);
  });
  at("labels-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const shown = field.value.trim();
    if (shown && !add.disabled) put({ name: shown }, `Added “${shown}”.`);
  });
  undo.addEventListener("click", () => {
    if (!removed) return;
    field.focus();
    put(removed, `“${removed.name}” is back.`);
  });
  at("set-new").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const wanted = at("set-name").value.trim();
    if (!wanted) return;
    attempt(async () => {
      const isCopy = at("set-copy").checked;
      const answer = await createSet(wanted, isCopy ? { copy_of: asked.now.set } : { labels: [] });
      at("set-name").value = "";
      await sets.load();
      asked.change({ set: wanted, words: [], minRevision: answer.label_set.revision });
      await load();
      say(`“${wanted}” is the label set now.`);
    });
  });
  at("set-delete").addEventListener("click", async () => {
    const { set } = asked.now;
    const size = counted(sets.sizeOf(set) ?? 0, "label");
    const text = `Delete the label set “${set}” with ${size} and all their examples?`;
    if ((await chosen(text, [["delete", "Delete"], ["", "Keep it"]])) !== "delete") return;
    await attempt(async () => {
      await deleteSet(set);
      asked.change({ set: "default", minRevision: 0 });
      await Promise.all([sets.load(), load()]);
      say(`Deleted “${set}”.`);
    });
  });
  asked.addEventListener(CHANGED, () => {
    if (drawer.open && asked.now.set !== loadedSet) load();
  });
  at("labels-open").addEventListener("click", () => {
    say("");
    drawer.showModal();
    field.focus();
    load();
  });
  at("drawer-close").addEventListener("click", () => drawer.close());
  drawer.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    // A click on the backdrop has the dialog itself as its target.
    if (event.target === drawer) drawer.close();
  });
}
