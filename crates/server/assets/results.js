// The grid of answers: cards, their buttons, evidence on hover, movement by keys.

import { byId, make, readable } from "/assets/dom.js";
import { show } from "/assets/client.js";
import { clear, explanation, heat } from "/assets/evidence.js";

/** Rests this long on a card before its evidence is asked for, in milliseconds. */
const HOVER_MS = 220;

export class Results {
  /** `on` holds `more`, `add`, `exclude`, `why`: each takes a hit. */
  constructor(query, collection, on) {
    Object.assign(this, { query, collection, on });
    this.list = byId("results");
    this.list.addEventListener("keydown", (event) => this.key(event));
  }

  /** Shows `hits`; `keep` adds to those that are there. */
  paint(hits, floor) {
    this.hits = hits;
    this.list.replaceChildren(...hits.map((hit, i) => this.card(hit, i, floor)));
    byId("none").hidden = hits.length > 0;
  }

  card(hit, i, floor) {
    const name = readable(hit.label ?? hit.path ?? "no label");
    const image = make("img", { alt: "", loading: i < 12 ? "eager" : "lazy", decoding: "async" });
    show(image, `${hit.thumbnail}?side=320`);
    const overlay = make("canvas", { "aria-hidden": "true" });
    const verdict = hit.verdict ? `, ${hit.verdict}` : "";
    const open = make("button", {
      type: "button", class: "hit", tabindex: i === 0 ? "0" : "-1",
      "aria-label": `${name}, similarity ${hit.score.toFixed(2)}${verdict}. Enter for more like this, W for why, plus and minus to add or exclude`,
      onclick: () => this.on.more(hit),
    }, image, overlay);
    const button = (text, label, action, kind) =>
      make("button", { type: "button", class: kind, text, title: label, "aria-label": `${label}: ${name}`, tabindex: "-1", onclick: () => action(hit) });
    const actions = make("div", { class: "actions" },
      button("More", "More like this", this.on.more, "more"),
      button("+", "Add to the query", this.on.add, "icon add"),
      button("−", "Less like this", this.on.exclude, "icon exclude"),
      button("?", "Why is this here", this.on.why, "icon why"));
    const meter = make("i");
    meter.style.width = `${Math.max(2, Math.min(100, 100 * Math.max(0, hit.score)))}%`;
    const card = make("li", { class: `card${floor !== null && hit.score < floor ? " weak" : ""}` },
      make("div", { class: "picture" }, open, actions),
      make("div", { class: "caption" }, make("span", { text: name, title: hit.path ?? name }), make("span", { text: hit.score.toFixed(2) })),
      make("div", { class: "meter", "aria-hidden": "true" }, meter));
    card.style.animationDelay = `${Math.min(i, 14) * 22}ms`;
    card.dataset.id = hit.id;
    this.hover(card, overlay, hit);
    return card;
  }

  hover(card, overlay, hit) {
    let timer;
    const enter = () => {
      if (!byId("evidence-on").checked) return;
      clearTimeout(timer);
      timer = setTimeout(async () => {
        const version = this.query.version;
        try {
          const answer = await explanation(this.collection(), this.query, hit);
          const still = card.matches(":hover") || card.contains(document.activeElement);
          if (!still || version !== this.query.version) return;
          heat(overlay, answer.second, answer.second.evidence, answer.grid);
          const shown = byId("query-overlay");
          const frame = this.query.frame();
          Object.assign(shown.style, { left: `${frame.left}px`, top: `${frame.top}px`, width: `${frame.width}px`, height: `${frame.height}px` });
          heat(shown, answer.first, answer.first.evidence, answer.grid, { fit: "contain", part: this.query.part });
          card.dataset.evidence = "shown";
        } catch {
          // Evidence is an extra: a refused one leaves the result as it is.
        }
      }, HOVER_MS);
    };
    const leave = () => {
      clearTimeout(timer);
      clear(overlay);
      clear(byId("query-overlay"));
      delete card.dataset.evidence;
    };
    card.addEventListener("pointerenter", enter);
    card.addEventListener("pointerleave", leave);
    card.addEventListener("focusin", enter);
    card.addEventListener("focusout", leave);
  }

  key(event) {
    const cards = [...this.list.children];
    const at = cards.indexOf(event.target.closest(".card"));
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: cards.length - 1 - at }[event.key];
    const action = { "+": "add", "-": "exclude", w: "why", m: "more" }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const next = cards[Math.min(cards.length - 1, Math.max(0, at + step))];
      for (const card of cards) card.querySelector(".hit").tabIndex = card === next ? 0 : -1;
      next.querySelector(".hit").focus();
    } else if (action) {
      event.preventDefault();
      this.on[action](this.hits[at]);
    }
  }
}
