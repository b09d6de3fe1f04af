// The query: its pictures, and the part of the first one that is searched by.

import { byId, make, readable } from "/assets/dom.js";
import { show } from "/assets/client.js";

/** Smallest part, as a share of a side. */
const LEAST = 0.05;

export class Query {
  /** `changed` is called when a search is due. */
  constructor(changed) {
    this.changed = changed;
    this.wanted = [];
    this.unwanted = [];
    this.part = null;
    this.version = 0;
    this.stage = byId("stage");
    this.image = byId("query-image");
    this.box = byId("crop");
    this.listen();
  }

  get first() {
    return this.wanted[0];
  }

  /** One picture and nothing else. */
  start(term) {
    this.wanted = [term];
    this.unwanted = [];
    this.setPart(null);
    this.paint();
    this.update();
  }

  add(term) {
    this.without(term.id);
    this.setPart(null);
    this.wanted.push(term);
    this.paint();
    this.update();
  }

  exclude(term) {
    this.without(term.id);
    this.unwanted.push(term);
    this.paint();
    this.update();
  }

  without(id) {
    if (!id) return;
    this.wanted = this.wanted.filter((term, i) => i === 0 || term.id !== id);
    this.unwanted = this.unwanted.filter((term) => term.id !== id);
  }

  update() {
    this.version += 1;
    this.changed();
  }

  /** The [name, value] pairs of a request. */
  pairs() {
    return [
      ...this.wanted.map((term) => (term.id ? ["id", term.id] : ["image", term.blob])),
      ...this.unwanted.map((term) => (term.id ? ["not_id", term.id] : ["not_image", term.blob])),
      ["crop", this.crop()],
    ];
  }

  /** The pairs that name the first picture alone, for an explanation. */
  firstPairs() {
    return [this.first.id ? ["id", this.first.id] : ["image", this.first.blob], ["crop", this.crop()]];
  }

  /** The part in pixels of the picture, as `x,y,width,height`. */
  crop() {
    if (!this.part || this.wanted.length !== 1) return "";
    // The server has the whole picture; what is shown of a stored one is a thumbnail of the same shape.
    const width = this.first.width ?? this.image.naturalWidth;
    const height = this.first.height ?? this.image.naturalHeight;
    const left = Math.floor(this.part.left * width);
    const top = Math.floor(this.part.top * height);
    const right = Math.min(width, Math.ceil((this.part.left + this.part.width) * width));
    const bottom = Math.min(height, Math.ceil((this.part.top + this.part.height) * height));
    return [left, top, Math.max(1, right - left), Math.max(1, bottom - top)].join(",");
  }

  paint() {
    const first = this.first;
    if (first.blob) {
      first.url ??= URL.createObjectURL(first.blob);
      this.image.src = first.url;
      this.image.alt = "Your picture";
    } else {
      show(this.image, `${first.thumbnail}?side=640`);
      this.image.alt = `Your query: ${readable(first.label ?? "a picture of the collection")}`;
    }
    const several = this.wanted.length + this.unwanted.length > 1;
    byId("crop-tip").hidden = several;
    byId("crop-start").hidden = several;
    const chip = (term, without, i) => {
      const image = make("img", { alt: "" });
      if (term.blob) image.src = term.url ??= URL.createObjectURL(term.blob);
      else show(image, `${term.thumbnail}?side=160`);
      const name = readable(term.label ?? "your picture");
      const remove = make("button", { type: "button", "aria-label": `Take ${name} out of the query`, text: "×", onclick: () => {
        const list = without ? this.unwanted : this.wanted;
        list.splice(i, 1);
        this.setPart(null);
        this.paint();
        this.update();
      } });
      const removable = without || this.wanted.length > 1;
      return make("li", { class: without ? "without" : "with" }, image, make("span", { text: without ? `not ${name}` : name }), removable ? remove : null);
    };
    const terms = several ? [...this.wanted.map((t, i) => chip(t, false, i)), ...this.unwanted.map((t, i) => chip(t, true, i))] : [];
    byId("terms").replaceChildren(...terms);
  }

  /** Sets the part, in shares of the picture's sides; null for the whole. */
  setPart(part) {
    this.part = part;
    this.box.hidden = !part;
    byId("crop-clear").hidden = !part;
    byId("crop-start").hidden = Boolean(part) || this.wanted.length + this.unwanted.length > 1;
    if (part) this.place();
  }

  /** Where the picture lies inside its stage. */
  frame() {
    const outer = this.stage.getBoundingClientRect();
    const shown = this.image.getBoundingClientRect();
    const scale = Math.min(shown.width / this.image.naturalWidth, shown.height / this.image.naturalHeight) || 1;
    const width = this.image.naturalWidth * scale;
    const height = this.image.naturalHeight * scale;
    return {
      left: shown.left - outer.left + (shown.width - width) / 2,
      top: shown.top - outer.top + (shown.height - height) / 2,
      width,
      height,
    };
  }

  place() {
    const frame = this.frame();
    const { left, top, width, height } = this.part;
    this.box.style.left = `${frame.left + left * frame.width}px`;
    this.box.style.top = `${frame.top + top * frame.height}px`;
    this.box.style.width = `${width * frame.width}px`;
    this.box.style.height = `${height * frame.height}px`;
  }

  listen() {
    let drag = null;
    const at = (event) => {
      const outer = this.stage.getBoundingClientRect();
      const frame = this.frame();
      const share = (value) => Math.min(1, Math.max(0, value));
      return {
        x: share((event.clientX - outer.left - frame.left) / frame.width),
        y: share((event.clientY - outer.top - frame.top) / frame.height),
      };
    };
    this.stage.addEventListener("pointerdown", (event) => {
      const touch = event.pointerType === "touch" && !this.stage.classList.contains("selecting") && event.target === this.image;
      if (event.button !== 0 || this.wanted.length !== 1 || this.unwanted.length > 0 || touch) return;
      event.preventDefault();
      const corner = [...this.box.children].indexOf(event.target);
      const start = at(event);
      const part = this.part;
      if (corner >= 0) {
        const fixed = { x: part.left + ([0, 3].includes(corner) ? part.width : 0), y: part.top + ([0, 1].includes(corner) ? part.height : 0) };
        drag = { kind: "corner", fixed };
      } else if (event.target === this.box) {
        drag = { kind: "move", start, part };
      } else {
        drag = { kind: "corner", fixed: start, before: part };
      }
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const now = at(event);
      if (drag.kind === "move") {
        const { part, start } = drag;
        this.setPart({
          ...part,
          left: Math.min(1 - part.width, Math.max(0, part.left + now.x - start.x)),
          top: Math.min(1 - part.height, Math.max(0, part.top + now.y - start.y)),
        });
      } else {
        const { fixed } = drag;
        this.setPart({
          left: Math.min(fixed.x, now.x), top: Math.min(fixed.y, now.y),
          width: Math.abs(fixed.x - now.x), height: Math.abs(fixed.y - now.y),
        });
      }
      drag.moved = true;
    });
    const end = () => {
      if (!drag) return;
      const { moved, before } = drag;
      drag = null;
      this.stage.classList.remove("selecting");
      if (!moved) return;
      if (this.part.width < LEAST || this.part.height < LEAST) this.setPart(before ?? null);
      else this.update();
    };
    this.stage.addEventListener("pointerup", end);
    this.stage.addEventListener("pointercancel", end);
    this.box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Escape" || event.key === "Delete") {
        this.setPart(null);
        this.update();
      } else if (step) {
        event.preventDefault();
        const [dx, dy] = step.map((direction) => direction * 0.04);
        const { left, top, width, height } = this.part;
        const within = (value, low, high) => Math.min(high, Math.max(low, value));
        this.setPart(event.shiftKey
          ? { left, top, width: within(width + dx, LEAST, 1 - left), height: within(height + dy, LEAST, 1 - top) }
          : { left: within(left + dx, 0, 1 - width), top: within(top + dy, 0, 1 - height), width, height });
        this.later ??= null;
        clearTimeout(this.later);
        this.later = setTimeout(() => this.update(), 350);
      }
    });
    byId("crop-start").addEventListener("click", () => {
      this.stage.classList.add("selecting");
      this.setPart({ left: 0.25, top: 0.25, width: 0.5, height: 0.5 });
      this.box.focus();
      this.update();
    });
    byId("crop-clear").addEventListener("click", () => {
      this.setPart(null);
      this.update();
    });
    new ResizeObserver(() => this.part && this.place()).observe(this.stage);
    this.image.addEventListener("load", () => this.part && this.place());
  }
}
