// The SHA-256 of a file, by which the service knows a video that it has analysed.

// crypto.subtle takes a file as a whole: a larger one is sent without looking for its analysis.
const MAX_BYTES = 1_000_000_000;

/**
 * The digest in hex; "" where the browser cannot compute it: the file is too large, or the page came
 * over plain HTTP from another computer.
 * @param {File} file
 * @returns {Promise<string>}
 */
export async function digestOf(file) {
  if (!globalThis.crypto?.subtle || file.size > MAX_BYTES) return "";
  try {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  } catch {
    // The file cannot be read or memory is short; the upload says what is wrong with it.
    return "";
  }
}
