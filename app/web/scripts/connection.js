// Says when the service is gone, looks for it, and says when it is back.

import { OFFLINE } from "./api/call.js";
import { at } from "./dom.js";

const LOOK_MS = 1500;

/**
 * @param {() => void} onBack called when a service that was gone answers again
 */
export function createConnection(onBack) {
  const banner = at("offline");
  let isGone = false;

  async function look() {
    const isUp = await fetch("/readyz").then((answer) => answer.ok, () => false);
    if (!isUp) {
      setTimeout(look, LOOK_MS);
      return;
    }
    isGone = false;
    banner.hidden = true;
    onBack();
  }

  document.addEventListener(OFFLINE, () => {
    if (isGone) return;
    isGone = true;
    banner.hidden = false;
    setTimeout(look, LOOK_MS);
  });
}
