// The default label set: listed, searched, extended and cut.

import { MOST_LABELS, Refusal, deleteLabel, putLabels, readLabels } from "./api.js";
import { drawRefusal } from "./draw.js";

const MOST_SHOWN = 600;
const WRITABLE = ["name", "prompts", "aliases", "description", "threshold", "metadata"];

const at = (id) => document.getElementById(id);

// The service's identity of a label, as near as a browser comes to casefold.
function keyOf(name) {
  return name.normalize("NFC").trim().replace(/\s+/gu, " ").toLowerCase();
}

function record(item) {
  return Object.fromEntries(WRITABLE.filter((field) => item[field] != null).map((field) => [field, item[field]]));
}

/**
 * @param {() => void} onChange called after the set was changed
 */
export function createLabels(onChange) {
  const form = at("labels-form");
  const name = at("label-name");
  const prompts = at("label-prompts");
  const add = at("label-add");
  const list = at("labels-list");
  const undo = at("undo");
  let items = [];
  let complete = true;
  let loaded = false;
  let removed = null;
  let fresh = "";

  function stored(key) {
    return items.find((item) => keyOf(item.name) === key);
  }

  function say(text) {
    at("labels-status").textContent = text;
  }

  function row(item) {
    const made = at("label-row").content.cloneNode(true);
    const entry = made.querySelector("li");
    entry.querySelector("span").textContent = item.name;
    const button = entry.querySelector("button");
    button.setAttribute("aria-label", `Remove ${item.name}`);
    button.title = "Remove";
    button.addEventListener("click", () => remove(item));
    entry.classList.toggle("fresh", keyOf(item.name) === fresh);
    return made;
  }

  function draw() {
    const wanted = keyOf(name.value);
    const words = wanted.split(" ");
    const matching = items.filter((item) => words.every((word) => keyOf(item.name).includes(word)));
    const known = stored(wanted) !== undefined;
    const worded = prompts.value.trim() !== "";
    list.replaceChildren(...matching.slice(0, MOST_SHOWN).map(row));
    add.disabled = wanted === "" || (known && !worded);
    add.textContent = known ? (worded ? "Change" : "Added") : "Add";
    let note = "";
    if (!items.length) note = "There is no label yet. Add the first one above.";
    else if (!matching.length) note = `No label contains “${name.value.trim()}”. Add it?`;
    else if (matching.length > MOST_SHOWN) note = `${matching.length - MOST_SHOWN} more: type to narrow them down.`;
    else if (!complete) note = `Only the first ${MOST_LABELS} labels are listed.`;
    at("labels-empty").textContent = note;
    at("labels-empty").hidden = note === "";
    const count = items.length.toLocaleString("en");
    at("labels-count").textContent = complete ? count : `${count}+`;
  }

  async function attempt(work) {
    drawRefusal(at("labels-problem"), null);
    undo.hidden = true;
    form.setAttribute("aria-busy", "true");
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say("");
      drawRefusal(at("labels-problem"), error);
      return false;
    } finally {
      form.removeAttribute("aria-busy");
    }
  }

  async function load() {
    const read = await attempt(async () => {
      ({ items, complete } = await readLabels());
      items.sort((a, b) => a.name.localeCompare(b.name, "en"));
      loaded = true;
    });
    if (read) draw();
    else if (!loaded) at("labels-empty").textContent = "The labels could not be loaded.";
  }

  async function put(label, done) {
    const shown = label.name.trim();
    if (!(await attempt(() => putLabels([label])))) return;
    fresh = keyOf(shown);
    name.value = "";
    prompts.value = "";
    await load();
    say(done);
    list.querySelector(".fresh")?.scrollIntoView({ block: "nearest" });
    onChange();
  }

  async function remove(item) {
    const place = [...list.children].findIndex((entry) => entry.contains(document.activeElement));
    if (!(await attempt(() => deleteLabel(item.name)))) return;
    removed = record(item);
    await load();
    say(`Removed “${item.name}”.`);
    undo.hidden = false;
    // The removed row held the focus: its neighbour takes it, so that a keyboard user keeps the place.
    const next = list.children[Math.min(place, list.children.length - 1)];
    if (place >= 0) (next?.querySelector("button") ?? name).focus();
    onChange();
  }

  for (const field of [name, prompts]) {
    field.addEventListener("input", () => {
      if (loaded) draw();
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const shown = name.value.trim();
    if (!shown || add.disabled) return;
    const lines = prompts.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const known = stored(keyOf(shown));
    const label = { ...(known ? record(known) : { name: shown }), ...(lines.length ? { prompts: lines } : {}) };
    put(label, known ? `Changed “${label.name}”.` : `Added “${shown}”.`);
  });
  undo.addEventListener("click", () => put(removed, `“${removed.name}” is back.`));

  return { load };
}
