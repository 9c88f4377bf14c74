// Reads Server-Sent Events from a text that grows.

import { parsed } from "./call.js";

/**
 * Returns a function that takes the whole text so far and reports each new complete event once.
 * @param {(name: string | undefined, data: any) => void} onEvent
 * @returns {(text: string) => void}
 */
export function eventReader(onEvent) {
  let read = 0;
  return (text) => {
    for (let end = text.indexOf("\n\n", read); end >= 0; end = text.indexOf("\n\n", read)) {
      const lines = text.slice(read, end).split("\n");
      read = end + 2;
      const field = (/** @type {string} */ name) =>
        lines.find((line) => line.startsWith(name))?.slice(name.length);
      const data = field("data: ");
      if (data !== undefined) onEvent(field("event: "), parsed(data));
    }
  };
}
