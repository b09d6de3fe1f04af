// Why two pictures are similar, drawn over them.

import { byId, make, readable, toast } from "/assets/dom.js";
import { ask, collectionPath, form, show } from "/assets/client.js";

const answers = new Map();

/** The server's explanation of `hit` for `query`; asked once for each pair. */
export function explanation(collection, query, hit) {
  const id = `${collection}/${query.version}/${hit.id}`;
  if (!answers.has(id)) {
    if (answers.size > 64) answers.delete(answers.keys().next().value);
    const body = form([...query.firstPairs(), ["against", hit.id]]);
    const answer = ask(`${collectionPath(collection)}/explain`, { method: "POST", body });
    answers.set(id, answer);
    answer.catch(() => answers.delete(id));
  }
  return answers.get(id);
}

/** Colors from transparent through amber to red for the shares 0 to 1. */
function color(share) {
  const t = Math.min(1, Math.max(0, share));
  return `rgb(${250 - 20 * t} ${196 - 150 * t} ${70 - 34 * t} / ${0.74 * t ** 1.15})`;
}

/** Where the part of a picture that the model sees lies on a canvas that shows it whole (`contain`) or filled (`cover`). */
function place(canvas, side, part, fit) {
  const [width, height] = [canvas.width, canvas.height];
  const scale = (fit === "cover" ? Math.max : Math.min)(width / side.width, height / side.height);
  const left = (width - side.width * scale) / 2;
  const top = (height - side.height * scale) / 2;
  // A part searched by is all that the model saw of the picture.
  const seen = part
    ? { left: part.left * side.width, top: part.top * side.height, width: part.width * side.width, height: part.height * side.height }
    : { left: 0, top: 0, width: side.width, height: side.height };
  const view = side.view;
  return {
    left: left + (seen.left + view.left * seen.width) * scale,
    top: top + (seen.top + view.top * seen.height) * scale,
    width: view.width * seen.width * scale,
    height: view.height * seen.height * scale,
  };
}

/** Fits a canvas' pixels to its size on the screen. */
function fresh(canvas) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * ratio));
  canvas.height = Math.max(1, Math.round(box.height * ratio));
  return canvas.getContext("2d");
}

/** Draws a map of `grid` x `grid` values, the largest as 1; what lowers the similarity is not shown. */
export function heat(canvas, side, values, grid, { fit = "cover", part = null } = {}) {
  const context = fresh(canvas);
  const at = place(canvas, side, part, fit);
  const largest = Math.max(...values, 1e-9);
  const small = make("canvas");
  small.width = small.height = grid;
  const pixels = small.getContext("2d");
  values.forEach((value, i) => {
    pixels.fillStyle = color(value / largest);
    if (value > 0) pixels.fillRect(i % grid, Math.floor(i / grid), 1, 1);
  });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "rgb(12 10 8 / 30%)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "destination-out";
  values.forEach((value, i) => {
    context.globalAlpha = Math.max(0, value / largest);
    context.fillRect(at.left + (i % grid) * (at.width / grid), at.top + Math.floor(i / grid) * (at.height / grid), at.width / grid + 0.5, at.height / grid + 0.5);
  });
  context.globalAlpha = 1;
  context.globalCompositeOperation = "source-over";
  context.drawImage(small, at.left, at.top, at.width, at.height);
  canvas.classList.add("on");
}

export function clear(canvas) {
  canvas.classList.remove("on");
}

/** The dialog with both pictures side by side. */
export class Why {
  constructor() {
    this.dialog = byId("why");
    this.mode = "pairs";
    byId("why-modes").addEventListener("change", (event) => {
      this.mode = event.target.value;
      this.draw();
    });
    byId("prompt").addEventListener("input", () => this.draw());
    new ResizeObserver(() => this.dialog.open && this.draw()).observe(byId("pair"));
    for (const [name, index] of [["why-first-overlay", 0], ["why-second-overlay", 1]]) {
      byId(name).addEventListener("pointermove", (event) => this.point(event, index));
      byId(name).addEventListener("pointerleave", () => this.point(null, index));
    }
  }

  async open(collection, query, hit) {
    let answer;
    try {
      answer = await explanation(collection, query, hit);
    } catch (error) {
      toast(error.message);
      return;
    }
    Object.assign(this, { answer, part: query.part, focus: null });
    const first = byId("why-first");
    const second = byId("why-second");
    first.src = byId("query-image").src;
    first.alt = byId("query-image").alt;
    second.alt = readable(hit.label ?? "the result");
    byId("why-caption").textContent = readable(hit.label ?? "");
    byId("why-text").textContent =
      `Similarity ${answer.similarity.toFixed(2)}. Parts seen in both give ${answer.from_patches.toFixed(2)} of it, everything else ${answer.rest.toFixed(2)}.`;
    const prompts = answer.first.prompts.length;
    byId("why-prompts").hidden = prompts === 0;
    byId("prompt").max = String(Math.max(1, prompts));
    if (prompts === 0 && this.mode === "prompts") {
      byId("why-modes").querySelector("input").click();
    }
    this.dialog.showModal();
    await show(second, `${hit.thumbnail}?side=640`);
    this.draw();
  }

  /** Follows the pointer: the patch under it, and where its counterparts are. */
  point(event, index) {
    if (this.mode !== "pairs" || !this.answer) return;
    this.focus = null;
    if (event) {
      const canvas = event.currentTarget;
      const box = canvas.getBoundingClientRect();
      const side = index === 0 ? this.answer.first : this.answer.second;
      const at = place({ width: box.width, height: box.height }, side, index === 0 ? this.part : null, "contain");
      const grid = this.answer.grid;
      const column = Math.floor(((event.clientX - box.left - at.left) / at.width) * grid);
      const row = Math.floor(((event.clientY - box.top - at.top) / at.height) * grid);
      if (column >= 0 && row >= 0 && column < grid && row < grid) this.focus = { index, patch: row * grid + column };
    }
    this.draw();
  }

  draw() {
    const { answer, mode } = this;
    if (!answer) return;
    const canvases = [byId("why-first-overlay"), byId("why-second-overlay")];
    const sides = [answer.first, answer.second];
    byId("prompt-picker").hidden = mode !== "prompts";
    const prompt = Number(byId("prompt").value) - 1;
    byId("prompt-value").textContent = String(prompt + 1);
    canvases.forEach((canvas, i) => {
      const side = sides[i];
      const options = { fit: "contain", part: i === 0 ? this.part : null };
      const values = { evidence: side.evidence, attention: side.attention, prompts: side.prompts[prompt] }[mode];
      if (values) heat(canvas, side, values, answer.grid, options);
      else {
        fresh(canvas);
        canvas.classList.add("on");
      }
    });
    this.lines(mode === "pairs");
  }

  /** Connects the patches that answer to each other. */
  lines(wanted) {
    const canvas = byId("why-lines");
    const context = fresh(canvas);
    if (!wanted) return;
    const { answer, focus } = this;
    const ratio = window.devicePixelRatio || 1;
    const origin = canvas.getBoundingClientRect();
    const boxes = ["why-first-overlay", "why-second-overlay"].map((name, i) => {
      const box = byId(name).getBoundingClientRect();
      const side = i === 0 ? answer.first : answer.second;
      const at = place({ width: box.width, height: box.height }, side, i === 0 ? this.part : null, "contain");
      return { left: box.left - origin.left + at.left, top: box.top - origin.top + at.top, cell: [at.width / answer.grid, at.height / answer.grid] };
    });
    const pairs = focus
      ? answer.links.flatMap((links, i) => links.map(([j, share]) => ({ first: i, second: j, share })))
          .filter((pair) => (focus.index === 0 ? pair.first : pair.second) === focus.patch)
          .sort((a, b) => b.share - a.share).slice(0, 5)
      : answer.pairs;
    const largest = Math.max(...pairs.map((pair) => pair.share), 1e-9);
    context.scale(ratio, ratio);
    pairs.forEach(({ first, second, share }, rank) => {
      const hue = focus ? 165 : (rank * 47 + 20) % 360;
      const strength = Math.max(0.25, share / largest);
      const corners = [first, second].map((patch, i) => [
        boxes[i].left + (patch % answer.grid) * boxes[i].cell[0],
        boxes[i].top + Math.floor(patch / answer.grid) * boxes[i].cell[1],
      ]);
      context.strokeStyle = `hsl(${hue} 85% 58% / ${strength})`;
      context.fillStyle = `hsl(${hue} 85% 58% / ${0.3 * strength})`;
      context.lineWidth = 1 + 1.6 * strength;
      corners.forEach(([x, y], i) => {
        context.beginPath();
        context.roundRect(x, y, boxes[i].cell[0], boxes[i].cell[1], 3);
        context.fill();
        context.stroke();
      });
      const [from, to] = corners.map(([x, y], i) => [x + boxes[i].cell[0] / 2, y + boxes[i].cell[1] / 2]);
      const bend = (to[0] - from[0]) * 0.45;
      context.beginPath();
      context.moveTo(...from);
      context.bezierCurveTo(from[0] + bend, from[1], to[0] - bend, to[1], ...to);
      context.stroke();
    });
  }
}
