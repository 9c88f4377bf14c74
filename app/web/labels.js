// Lists, searches and edits the default label set.

import { Refusal, deleteLabel, putLabels, readLabels, teachLabel } from "./api.js";
import { drawRefusal } from "./draw.js";

const MAX_SHOWN = 600;
const SEARCH_DELAY_MS = 250;
const WRITABLE = [
  "name", "prompts", "aliases", "description", "language", "threshold", "enabled", "metadata",
];

const at = (id) => document.getElementById(id);

// The key by which the service identifies a label; a browser has no exact casefold.
function keyOf(name) {
  const visible = name.normalize("NFC").replace(/\p{Default_Ignorable_Code_Point}/gu, "");
  return visible.trim().replace(/\s+/gu, " ").toLowerCase();
}

function record(item) {
  const given = WRITABLE.filter((field) => item[field] != null);
  return Object.fromEntries(given.map((field) => [field, item[field]]));
}

function holds(item, words) {
  const texts = [item.name, ...item.aliases].map(keyOf);
  return words.every((word) => texts.some((text) => text.includes(word)));
}

/**
 * @param {() => void} onChange called after a change of the set
 */
export function createLabels(onChange) {
  const form = at("labels-form");
  const name = at("label-name");
  const prompts = at("label-prompts");
  const add = at("label-add");
  const list = at("labels-list");
  const box = list.parentElement;
  const undo = at("undo");
  const examples = at("examples");
  let items = [];
  let size = 0;
  // False if the set is too large to be held here: the service then searches it.
  let complete = true;
  let requests = 0;
  let loaded = false;
  let removed = null;
  let taught = null;
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
    const button = entry.querySelector(".remove");
    button.setAttribute("aria-label", `Remove ${item.name}`);
    button.title = "Remove";
    button.addEventListener("click", () => remove(item));
    const show = entry.querySelector(".teach");
    show.setAttribute("aria-label", `Teach ${item.name} by example`);
    show.title = "Teach by example";
    show.addEventListener("click", () => {
      taught = item;
      examples.value = "";
      examples.click();
    });
    entry.classList.toggle("fresh", keyOf(item.name) === fresh);
    return made;
  }

  function draw() {
    const wanted = keyOf(name.value);
    const matching = items.filter((item) => holds(item, wanted.split(" ")));
    const known = stored(wanted) !== undefined;
    const worded = prompts.value.trim() !== "";
    list.replaceChildren(...matching.slice(0, MAX_SHOWN).map(row));
    add.disabled = !loaded || wanted === "" || (known && !worded);
    add.textContent = known ? (worded ? "Change" : "Added") : "Add";
    const more = matching.length - MAX_SHOWN;
    let note = "";
    if (!size) note = "There is no label yet. Add the first one above.";
    else if (!matching.length) note = `No label contains “${name.value.trim()}”. Add it?`;
    else if (more > 0) note = `${more} more: type to narrow the list.`;
    else if (!complete) note = `Only ${items.length} labels are listed: type to search all of them.`;
    at("labels-empty").textContent = note;
    at("labels-empty").hidden = note === "";
    at("labels-count").textContent = size.toLocaleString("en");
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
    const request = ++requests;
    const read = await attempt(async () => {
      const answer = await readLabels(complete ? "" : name.value);
      if (request !== requests) return;
      items = answer.items.sort((a, b) => a.name.localeCompare(b.name, "en"));
      size = answer.size;
      complete &&= answer.complete;
      loaded = true;
    });
    at("labels-retry").hidden = read || loaded;
    if (read) draw();
    else if (!loaded) at("labels-empty").textContent = "The labels could not be loaded.";
  }

  async function put(label, done) {
    const shown = label.name.trim();
    let warnings = [];
    const written = await attempt(async () => {
      ({ warnings } = await putLabels([label]));
    });
    if (!written) return;
    fresh = keyOf(shown);
    name.value = "";
    prompts.value = "";
    await load();
    say([done, ...warnings.map((warning) => warning.detail)].join(" "));
    // Scrolls only the list, not the page.
    const entry = list.querySelector(".fresh");
    if (entry) box.scrollTop = entry.offsetTop - box.offsetTop - box.clientHeight / 2;
    onChange();
  }

  async function remove(item) {
    const index = [...list.children].findIndex((entry) => entry.contains(document.activeElement));
    if (!(await attempt(() => deleteLabel(item.name)))) return;
    removed = record(item);
    await load();
    say(`Removed “${item.name}”.`);
    undo.hidden = false;
    // The removed row had the focus: for keyboard users its neighbour gets it.
    const next = list.children[Math.min(index, list.children.length - 1)];
    if (index >= 0) (next?.querySelector(".remove") ?? name).focus();
    onChange();
  }

  async function teach(item, files) {
    say(files.length === 1 ? "Looking at the video …" : `Looking at ${files.length} videos …`);
    await attempt(async () => {
      const answer = await teachLabel(item.name, files);
      const count = `${answer.examples} ${answer.examples === 1 ? "example" : "examples"}`;
      const share = Math.round(100 * answer.weight);
      say(`“${item.name}” now has ${count}: they have ${share} % of the weight, its words the rest.`);
      onChange();
    });
  }

  let pause = 0;
  function narrow() {
    if (loaded) draw();
    clearTimeout(pause);
    if (!complete) pause = setTimeout(load, SEARCH_DELAY_MS);
  }
  name.addEventListener("input", narrow);
  prompts.addEventListener("input", draw);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const shown = name.value.trim();
    if (!shown || add.disabled) return;
    const lines = prompts.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const known = stored(keyOf(shown));
    const label = known ? record(known) : { name: shown };
    if (lines.length) label.prompts = lines;
    put(label, known ? `Changed “${label.name}”.` : `Added “${shown}”.`);
  });
  examples.addEventListener("change", () => {
    if (examples.files.length) teach(taught, [...examples.files]);
  });
  at("labels-retry").addEventListener("click", load);
  undo.addEventListener("click", () => {
    name.focus();
    put(removed, `“${removed.name}” is back.`);
  });

  return { load };
}
