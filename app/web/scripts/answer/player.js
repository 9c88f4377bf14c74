// The stage: where videos are dropped, played, or asked for.

import { at } from "../dom.js";

/**
 * @param {{onTime: (seconds: number) => void}} options called while the video plays
 */
export function createPlayer({ onTime }) {
  const player = at("player");
  /** @type {File | null} */
  let file = null;
  let wanted = 0;

  /** Shows one part of the stage. @param {string} id */
  function show(id) {
    for (const part of ["drop", "player", "no-preview", "no-file"]) at(part).hidden = part !== id;
  }

  player.addEventListener("error", () => {
    if (file) show("no-preview");
  });
  player.addEventListener("timeupdate", () => onTime(player.currentTime));
  player.addEventListener("loadedmetadata", () => {
    if (wanted) player.currentTime = wanted;
  });

  return {
    /** @param {import("../types.js").Entry | null} entry */
    show(entry) {
      if (!entry) {
        show("drop");
      } else if (!entry.file) {
        show("no-file");
      }
      const next = entry?.file ?? null;
      if (next === file) return;
      file = next;
      wanted = 0;
      if (player.src) URL.revokeObjectURL(player.src);
      if (!file) {
        player.removeAttribute("src");
        player.load();
        return;
      }
      player.src = URL.createObjectURL(file);
      show("player");
    },
    /** @param {number} seconds */
    seek(seconds) {
      wanted = seconds;
      player.currentTime = seconds;
      onTime(seconds);
    },
  };
}
