// Elements, and numbers as people read them. All text is inserted as text, never as markup.

/**
 * The element with an id. The page's own markup has it.
 * @param {string} id
 * @returns {any}
 */
export const at = (id) => document.getElementById(id);

/**
 * An element with a class and children (strings become text).
 * @param {string} name
 * @param {string} [className]
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/**
 * A button with a text, or with a name for screen readers where the text is a sign.
 * @param {string} text
 * @param {string} className
 * @param {(event: MouseEvent) => void} onClick
 * @param {string} [name]
 * @returns {HTMLButtonElement}
 */
export function button(text, className, onClick, name = "") {
  const made = /** @type {HTMLButtonElement} */ (element("button", className, text));
  made.type = "button";
  if (name) {
    made.setAttribute("aria-label", name);
    made.title = name;
  }
  made.addEventListener("click", onClick);
  return made;
}

/**
 * A copy of the first element of a template of the page.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function fromTemplate(id) {
  return at(id).content.firstElementChild.cloneNode(true);
}

/** A time: "7.4 s" in a short video, "1:07" or "1:02:07" in a longer one.
 * @param {number} seconds
 * @param {number} duration
 */
export function clock(seconds, duration) {
  if (duration < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

/** The times of a span.
 * @param {{start: number, end: number}} span
 * @param {number} duration
 */
export function times({ start, end }, duration) {
  if (duration < 60) return `${start.toFixed(1)} to ${end.toFixed(1)} s`;
  return `${clock(start, duration)} to ${clock(end, duration)}`;
}

/** @param {number} share 0 to 1 */
export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

/** @param {number} count */
export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  const units = /** @type {[number, string][]} */ ([[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]);
  const [size, unit] = units.find(([min]) => count >= min) ?? [1, "bytes"];
  return `${(count / size).toFixed(count / size < 10 ? 1 : 0)} ${unit}`;
}

/** A number of things: "1 label", "401 labels".
 * @param {number} count
 * @param {string} thing
 */
export function counted(count, thing) {
  return `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;
}

/** How long something will take: "about 40 s", "about 3 min".
 * @param {number} seconds
 */
export function remaining(seconds) {
  if (!(seconds >= 1)) return "";
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  return `about ${Math.ceil(seconds / 60)} min left`;
}

/**
 * Shows a refusal in a container, or empties the container if there is none.
 * @param {HTMLElement} container
 * @param {import("./api/call.js").Refusal | null} refusal
 */
export function drawRefusal(container, refusal) {
  if (!refusal) {
    container.replaceChildren();
    return;
  }
  const box = element("div", "problem", element("p", "problem-title", refusal.title));
  if (refusal.detail) box.append(element("p", "", refusal.detail));
  const others = refusal.errors.filter((error) => !refusal.detail.includes(error.detail));
  if (others.length) {
    box.append(element("ul", "", ...others.map((error) => element("li", "", error.detail))));
  }
  if (refusal.retrySeconds) {
    box.append(element("p", "", `Try again in ${refusal.retrySeconds} s.`));
  }
  const marks = [refusal.code, refusal.requestId].filter(Boolean).join(" · ");
  if (marks) box.append(element("p", "problem-code", element("code", "", marks)));
  container.replaceChildren(box);
}

/**
 * Asks in a dialog; resolves to the value of the button that was chosen, "" for none of them.
 * @param {string} text
 * @param {[string, string][]} choices value and text of each button, the safest one last
 * @returns {Promise<string>}
 */
export function chosen(text, choices) {
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "confirm"));
  const buttons = choices.map(([value, words], index) =>
    button(words, index === 0 ? "main" : "", () => dialog.close(value)),
  );
  const title = element("p", "", text);
  title.id = "confirm-text";
  dialog.setAttribute("aria-labelledby", title.id);
  dialog.append(title, element("div", "buttons", ...buttons));
  document.body.append(dialog);
  dialog.showModal();
  buttons.at(-1)?.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}

/**
 * Calls a function at most once before the next frame is drawn.
 * @param {() => void} work
 */
export function oncePerFrame(work) {
  let isPlanned = false;
  return () => {
    if (isPlanned) return;
    isPlanned = true;
    // A tab in the background draws no frames, but its title and list must still be right.
    setTimeout(() => {
      isPlanned = false;
      work();
    }, 16);
  };
}
