// Files from a drop and from pickers.

import { at } from "../dom.js";

/** @param {(files: File[]) => void} onFiles */
export function createDrop(onFiles) {
  for (const id of ["file", "file-more", "file-again"]) {
    const picker = at(id);
    picker.addEventListener("change", () => {
      const chosen = [...picker.files];
      // Otherwise choosing the same file again would cause no event.
      picker.value = "";
      if (chosen.length) onFiles(chosen);
    });
  }

  // The whole page accepts a drop: beside a drop target the browser would open the file instead.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragged");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("dragged");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragged");
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) onFiles(files);
  });
}
