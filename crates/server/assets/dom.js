// Small helpers around the document.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element: `make("li", { class: "card", text: "x", onclick: f }, child, ...)`. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Says something to screen readers. */
export function announce(text) {
  byId("announce").textContent = text;
}

let toastTimer;
/** Says something that went wrong, to everyone. */
export function toast(text) {
  const element = byId("toast");
  element.textContent = text;
  element.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { element.hidden = true; }, 6500);
}

/** Calls `action` once `wait` milliseconds have passed without another call. */
export function settled(wait, action) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait);
  };
}

/** 12345 as 12,345 in the reader's own way. */
export const count = (number) => number.toLocaleString();

/** Words of a label as people write them. */
export const readable = (label) => String(label).replaceAll(/[_-]/g, " ");

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
