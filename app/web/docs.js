// The reference of the API: Swagger UI over /openapi.json, with the key that the page uses.

import { createKeyForm, keyHeaders, noteRefusedKey } from "./scripts/key.js";

async function draw() {
  const response = await fetch("/openapi.json", { headers: keyHeaders() });
  const answer = await response.json();
  if (!response.ok) {
    noteRefusedKey(answer.code, answer.title);
    return;
  }
  /** @type {any} */ (window).SwaggerUIBundle({
    spec: answer,
    dom_id: "#docs",
    deepLinking: true,
    requestInterceptor: (/** @type {any} */ request) => {
      // A key that was entered into Swagger UI's own form is kept.
      request.headers = { ...keyHeaders(), ...request.headers };
      return request;
    },
  });
}

createKeyForm(draw);
draw();
