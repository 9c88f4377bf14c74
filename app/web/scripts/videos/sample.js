// A video to try, with words to look for.

import { offline } from "../api/call.js";
import { at } from "../dom.js";

// Eight seconds of fireworks, drawn by `benchmarks/page/sample_video.py`.
const ADDRESS = "/static/sample.mp4";
const WORDS = ["fireworks", "riding a bicycle", "swimming"];

/** @param {(file: File, words: string[]) => void} onFile */
export function createSample(onFile) {
  at("sample").addEventListener("click", async () => {
    let film;
    try {
      const answer = await fetch(ADDRESS);
      if (!answer.ok) throw new TypeError(`status ${answer.status}`);
      film = await answer.blob();
    } catch {
      // The banner of the connection says so.
      offline();
      return;
    }
    onFile(new File([film], "sample.mp4", { type: "video/mp4" }), WORDS);
  });
}
