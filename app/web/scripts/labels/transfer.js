// Label sets from files and to files.

import { save } from "../answer/exports.js";
import { exportLabels, importLabels } from "../api/labels.js";
import { at } from "../dom.js";
import { wordsIn } from "../question/question.js";

/** A plain list of names as JSON lines, which the service reads. @param {File} file */
async function asLines(file) {
  const lines = (await file.text()).split(/\r\n|\r|\n/);
  // A line that begins with # is a comment, as for `kinolex labels import`.
  const names = lines.filter((line) => line.trim() && !line.startsWith("#")).map((line) => line.trim());
  const texts = names.map((name) => JSON.stringify(wordsIn(name).length === 1 ? wordsIn(name)[0] : name));
  return new File([texts.join("\n")], "labels.ndjson");
}

/**
 * @param {{attempt: (work: () => Promise<void>) => Promise<boolean>, set: () => string,
 *   onWritten: (revision: number, text: string) => Promise<void>}} options
 */
export function createTransfer({ attempt, set, onWritten }) {
  const picker = at("import-file");

  at("import").addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    const [file] = picker.files;
    picker.value = "";
    if (!file) return;
    attempt(async () => {
      const read = /\.txt$/i.test(file.name) ? await asLines(file) : file;
      const { created, updated, label_set: state } = await importLabels(set(), read);
      await onWritten(state.revision, `${file.name}: ${created} added, ${updated} changed.`);
    });
  });
  for (const format of /** @type {const} */ (["csv", "ndjson"])) {
    at(`export-${format}`).addEventListener("click", () =>
      attempt(async () => {
        const type = format === "csv" ? "text/csv" : "application/x-ndjson";
        save(await exportLabels(set(), format), `${set()}.${format}`, type);
      }),
    );
  }
}
