// The kept videos in the list, and the address of each.

import { Refusal } from "../api/call.js";
import { listVideos } from "../api/videos.js";
import { at } from "../dom.js";
import { entryOf, newEntry } from "./entries.js";

/**
 * @param {import("./entries.js").Entries} entries
 * @param {import("./queue.js").Queue} queue
 */
export function createHistory(entries, queue) {
  let token = "";

  async function more() {
    const page = await listVideos(token);
    for (const video of page.items) {
      const known = entries.withDigest(video.sha256);
      if (known === null) entries.append(entryOf(video));
      else if (video.in_use && known.status === "outdated") Object.assign(known, entryOf(video), { id: known.id });
    }
    token = page.next_page_token;
    queue.listsAll = token === "";
    at("videos-more").hidden = token === "";
    queue.askAll();
  }

  /** Reads the newest kept videos; a key without the right to them gets a list without history. */
  async function load() {
    token = "";
    try {
      await more();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === "scope_missing") queue.keeps = false;
    }
  }

  at("videos-more").addEventListener("click", () => more());

  return {
    load,
    /**
     * Selects a kept video, which may be older than the list goes.
     * @param {string} sha256
     * @param {string} [name]
     */
    open(sha256, name = `${sha256.slice(0, 12)}…`) {
      let entry = entries.withDigest(sha256);
      if (entry === null) {
        entry = newEntry({ name, sha256, kept: true, status: "idle" });
        entries.append(entry);
      }
      entries.select(entry);
      queue.askAll();
    },
  };
}
