// The API key that a person enters: kept for this tab, and sent to this service only.

const STORED = "kinolex-key";
const REFUSED = "key-refused";
const KEY_CODES = ["key_required", "key_not_valid"];

/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(id);

let key = "";
try {
  key = sessionStorage.getItem(STORED) ?? "";
} catch {
  // The browser stores nothing for this page: the key lasts until it is closed.
}

/** @param {string} text */
function use(text) {
  key = text;
  try {
    if (key) sessionStorage.setItem(STORED, key);
    else sessionStorage.removeItem(STORED);
  } catch {
    // As above.
  }
}

/** The headers that send the key; none if there is no key.
 * @returns {Record<string, string>}
 */
export function keyHeaders() {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Shows the form if a problem with this code and title is about the key.
 * @param {string} code
 * @param {string} title
 */
export function noteRefusedKey(code, title) {
  if (!KEY_CODES.includes(code)) return;
  document.dispatchEvent(new CustomEvent(REFUSED, { detail: title }));
}

/**
 * Connects the form `key-form` and the button `key-show`.
 * @param {() => void} onKey called after a key was entered or removed
 */
export function createKeyForm(onKey) {
  const form = at("key-form");
  const field = at("key");
  const show = at("key-show");

  /** @param {string} reason */
  function open(reason) {
    at("key-reason").textContent = reason;
    at("key-forget").hidden = key === "";
    form.hidden = false;
    show.hidden = true;
  }

  function close() {
    field.value = "";
    form.hidden = true;
    show.hidden = key === "";
    onKey();
  }

  document.addEventListener(REFUSED, (event) => {
    open(`${/** @type {CustomEvent} */ (event).detail}.`);
  });
  show.hidden = key === "";
  show.addEventListener("click", () => {
    open("");
    field.focus();
  });
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    const entered = field.value.trim();
    if (!entered) return;
    use(entered);
    close();
  });
  at("key-forget").addEventListener("click", () => {
    use("");
    close();
  });
}
