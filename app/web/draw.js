// Shows answers and refusals. All text is inserted as text, never as markup.

/** An element with a class and children (strings become text). */
export function element(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A time: "7.4 s" in a short video, "1:07" or "1:02:07" in a longer one. */
export function clock(seconds, duration) {
  if (duration < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

export function percent(share) {
  return `${Math.round(share * 100)} %`;
}

export function bytes(count) {
  if (count < 1000) return `${count} bytes`;
  const [size, unit] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([min]) => count >= min);
  return `${(count / size).toFixed(count / size < 10 ? 1 : 0)} ${unit}`;
}

/** Shows a text and an empty outline, while there is no answer. */
export function drawNothing(container, text, rows) {
  const outline = element("div", "outline", ...Array.from({ length: rows }, () => element("i")));
  outline.setAttribute("aria-hidden", "true");
  container.replaceChildren(element("p", "empty", text), outline);
}

/** Shows a refusal in a container, or empties the container if there is none. */
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
  if (refusal.retryAfter) box.append(element("p", "", `Try again in ${refusal.retryAfter} s.`));
  const marks = [refusal.code, refusal.requestId].filter(Boolean).join(" · ");
  if (marks) box.append(element("p", "problem-code", element("code", "", marks)));
  container.replaceChildren(box);
}

function tagRow(tag) {
  const row = document.getElementById("tag-row").content.cloneNode(true);
  row.querySelector(".rank").textContent = tag.rank;
  row.querySelector(".tag-label").textContent = tag.label;
  row.querySelector(".tag-likelihood").textContent = tag.likelihood;
  row.querySelector(".tag-score").textContent = percent(tag.score);
  row.querySelector(".tag-bar > span").style.setProperty("--share", tag.score);
  const more = [`similarity ${tag.similarity.toFixed(2)}`];
  if (tag.duration_ratio > 0) more.push(`${percent(tag.duration_ratio)} of the video`);
  if (tag.prompt && tag.prompt !== tag.label) more.push(`matched “${tag.prompt}”`);
  row.querySelector(".tag-more").textContent = more.join(" · ");
  return row;
}

function facts({ video, model, label_set: labels }) {
  const lines = element("dl", "facts");
  const add = (name, text) => lines.append(element("dt", "", name), element("dd", "", text));
  const seen = [clock(video.duration, video.duration), `${video.width} × ${video.height}`];
  if (video.fps) seen.push(`${Number(video.fps.toFixed(2))} frames/s`);
  seen.push(video.codec);
  if (video.rotation) seen.push(`rotated by ${video.rotation}°`);
  add("Video", seen.join(" · "));
  add("Model", model.revision ? `${model.id} · ${model.revision}` : model.id);
  const { name, revision } = labels;
  add("Labels", name ? `${name} · revision ${revision}` : "only those asked for");
  return lines;
}

/** Shows the tags of an answer, whether any label fits, and facts about video, model and labels. */
export function drawAnswer(container, answer) {
  const shown = [];
  if (answer.unknown.is_unknown) {
    const guess = `Probability that no label fits: ${percent(answer.unknown.score)}.`;
    const title = element("p", "unknown-title", "None of these");
    shown.push(element("div", "unknown", title, element("p", "", guess)));
  }
  if (answer.tags.length) {
    const list = element("ol", answer.unknown.is_unknown ? "tags faint" : "tags");
    list.append(...answer.tags.map(tagRow));
    shown.push(list);
  } else if (!answer.unknown.is_unknown) {
    const reason = "No tag: the label set is empty, or no label reached its threshold.";
    shown.push(element("p", "empty", reason));
  }
  const { is_unknown: isUnknown, duration_ratio: unknownShare } = answer.unknown;
  if (!isUnknown && unknownShare > 0) {
    shown.push(element("p", "note", `In ${percent(unknownShare)} of the video no label fits.`));
  }
  for (const warning of answer.video.warnings) {
    shown.push(element("p", "warning", warning));
  }
  shown.push(facts(answer));
  container.replaceChildren(...shown);
}
