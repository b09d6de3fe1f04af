// Comforts of the report. Without this script everything can still be read; only the theme switch, the copy buttons, the
// tips on charts and the enlarged view are missing.
(() => {
  "use strict";
  const root = document.documentElement;
  const said = document.getElementById("said");

  // Theme: the system's until the reader chooses; the choice is kept where the browser allows it.
  const memory = {
    get() { try { return localStorage.getItem("kinsight-theme"); } catch { return null; } },
    set(theme) { try { localStorage.setItem("kinsight-theme", theme); } catch { /* the choice lasts as long as the page */ } },
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const nameButton = () => button.setAttribute("aria-label", isDark() ? "Switch to the light theme" : "Switch to the dark theme");
  const kept = memory.get();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    memory.set(root.dataset.theme);
    nameButton();
  });
  dark.addEventListener("change", nameButton);
  nameButton();
  button.hidden = false;

  // Copy buttons.
  const copy = async (text, source) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Files opened from a disk have no clipboard in some browsers; a selection can still be copied.
      getSelection().selectAllChildren(source);
      return document.execCommand("copy");
    }
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = button.parentElement.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copy(source.textContent, source);
      button.textContent = said.textContent = done ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
    });
  }

  // Chart tips: the point nearest to the pointer, at once and also between the points.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  for (const chart of document.querySelectorAll(".chart")) {
    const points = [...chart.querySelectorAll(".at")].map((node) => {
      const title = node.querySelector("title");
      const text = title.textContent;
      title.remove();
      const spot = node.querySelector(".hover");
      return { node, text, spot, x: spot.cx.baseVal.value, y: spot.cy.baseVal.value };
    });
    let shown = null;
    const show = (point) => {
      if (point === shown) return;
      shown?.node.classList.remove("on");
      shown = point;
      tip.hidden = !point;
      if (!point) return;
      point.node.classList.add("on");
      tip.textContent = point.text;
      const at = point.spot.getBoundingClientRect();
      const left = at.left + at.width / 2 - tip.offsetWidth / 2;
      tip.style.left = `${scrollX + Math.max(8, Math.min(left, root.clientWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${scrollY + at.top - tip.offsetHeight - 4}px`;
    };
    chart.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.getScreenCTM().inverse());
      let nearest = null;
      let least = 40 * 40;
      for (const point of points) {
        const distance = (point.x - at.x) ** 2 + (point.y - at.y) ** 2;
        if (distance < least) [nearest, least] = [point, distance];
      }
      show(nearest);
    });
    chart.addEventListener("pointerleave", () => show(null));
  }

  // The enlarged view: a query beside one of its answers, with the arrow keys from answer to answer.
  const dialog = document.getElementById("compare");
  const pair = dialog.querySelector(".pair");
  const verdict = dialog.querySelector(".verdict");
  const steps = [...dialog.querySelectorAll("[data-step]")];
  let hits = [];
  let current = 0;
  const element = (tag, className, ...children) => {
    const made = document.createElement(tag);
    made.className = className;
    made.append(...children);
    return made;
  };
  const enlarged = (holder, what) => {
    const name = holder.querySelector(".name").textContent;
    const use = holder.querySelector(".pic use");
    const stored = use && document.querySelector(`${use.getAttribute("href")} image`);
    const image = stored ? element("img", "") : element("span", "pic missing", "no picture");
    if (stored) [image.src, image.alt] = [stored.getAttribute("href"), name];
    const caption = element("figcaption", "", element("span", "sub", what), element("span", "name", name));
    if (holder.dataset.caption) caption.append(element("span", "sub name", holder.dataset.caption));
    return element("figure", "", image, caption);
  };
  const compare = (index) => {
    current = index;
    const hit = hits[index];
    const right = hit.classList.contains("right");
    const ranking = hit.closest(".ranking");
    pair.replaceChildren(
      enlarged(hit.closest(".query").querySelector(".asked"), "Query"),
      enlarged(hit, `Answer ${index + 1} of ${hits.length}`),
    );
    dialog.querySelector("h2").textContent = ranking.querySelector("h3 .name").textContent;
    const similarity = hit.querySelector(".similarity").textContent;
    verdict.className = `verdict ${right ? "right" : "wrong"}`;
    verdict.replaceChildren(
      hit.querySelector(".sign svg").cloneNode(true),
      `${right ? "Same class" : "Another class"}, similarity ${similarity}`,
    );
    for (const step of steps) step.disabled = !hits[current + Number(step.dataset.step)];
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => { if (hits[current + by]) compare(current + by); };
  for (const hit of document.querySelectorAll(".hit")) {
    hit.addEventListener("click", () => {
      hits = [...hit.closest(".ranking").querySelectorAll(".hit")];
      compare(hits.indexOf(hit));
    });
  }
  for (const button of steps) button.addEventListener("click", () => step(Number(button.dataset.step)));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
})();
