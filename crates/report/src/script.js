// Comforts of the report. Without this script everything can still be read; only the theme switch, the copy buttons, the
// tips on charts and the enlarged view are missing.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
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

  // The enlarged view: a query next to one of its answers, with the arrow keys from answer to answer.
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

  // All answers of a query.
  for (const button of document.querySelectorAll("[data-more]")) {
    const label = button.textContent;
    button.addEventListener("click", () => {
      const open = button.closest(".query").classList.toggle("open");
      button.textContent = open ? "Show fewer" : label;
    });
  }

  // One of a few buttons.
  const choose = (group, key, act) => {
    const buttons = [...group.querySelectorAll(`[data-${key}]`)];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) {
          other.classList.toggle("on", other === button);
          other.setAttribute("aria-checked", String(other === button));
        }
        act(button.dataset[key]);
      });
    }
  };

  // Why: the veil over each image, and what the patch under the pointer matches in the other one.
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const pairs = [...document.querySelectorAll(".why")].map((why) => {
    const grid = Number(why.dataset.grid);
    const count = grid * grid;
    const evidence = new Int8Array(bytesOf(why.dataset.evidence).buffer);
    const attention = bytesOf(why.dataset.attention);
    const veils = [...why.querySelectorAll(".veil")];
    const rects = veils.map((veil) => [...veil.querySelectorAll("rect")]);
    const usual = rects.map((list) => list.map((rect) => rect.getAttribute("fill-opacity")));
    const veil = (side, brightness) => rects[side].forEach((rect, place) => {
      rect.setAttribute("fill-opacity", (0.8 * (1 - Math.sqrt(Math.max(0, brightness(place))))).toFixed(2));
    });
    let mode = "evidence";
    const rest = () => {
      for (const side of [0, 1]) {
        if (mode === "evidence") rects[side].forEach((rect, place) => rect.setAttribute("fill-opacity", usual[side][place]));
        if (mode === "attention") veil(side, (place) => attention[side * count + place] / 255);
        if (mode === "plain") veil(side, () => 1);
      }
      for (const mark of why.querySelectorAll(".pinned")) mark.remove();
    };
    const point = (side, place) => {
      if (mode !== "evidence") return;
      rest();
      const part = (other) => (side === 0 ? evidence[place * count + other] : evidence[other * count + place]);
      let most = 1;
      for (let other = 0; other < count; other++) most = Math.max(most, part(other));
      veil(1 - side, (other) => part(other) / most);
      const mark = document.createElementNS(veils[side].namespaceURI, "rect");
      for (const [key, value] of Object.entries({ x: place % grid, y: Math.floor(place / grid), width: 1, height: 1, class: "pinned" })) {
        mark.setAttribute(key, value);
      }
      veils[side].append(mark);
    };
    veils.forEach((node, side) => {
      const follow = (event) => {
        const box = node.getBoundingClientRect();
        const cell = (at, from, size) => Math.min(grid - 1, Math.max(0, Math.floor(((at - from) / size) * grid)));
        point(side, cell(event.clientY, box.top, box.height) * grid + cell(event.clientX, box.left, box.width));
      };
      node.addEventListener("pointermove", follow);
      node.addEventListener("pointerdown", follow);
      node.addEventListener("pointerleave", rest);
    });
    return { show: (next) => { mode = next; rest(); } };
  });
  const modes = document.querySelector(".choice [data-mode]")?.closest(".choice");
  if (modes) choose(modes, "mode", (mode) => pairs.forEach((pair) => pair.show(mode)));

  // The map.
  const view = document.getElementById("map-view");
  if (view) drawMap(view);
  function drawMap(view) {
    const points = [...view.querySelectorAll("circle")].map((node, index) => ({
      index,
      x: node.cx.baseVal.value,
      y: node.cy.baseVal.value,
      kind: Number(node.dataset.class),
      astray: "astray" in node.dataset,
      caption: node.dataset.caption,
      node,
    }));
    const names = [...document.querySelectorAll("#map-class option")].slice(1).map((option) => option.textContent);
    const tile = Number(view.dataset.tile);
    const columns = Number(view.dataset.columns);
    const tiles = new Image();
    tiles.src = view.dataset.tiles;
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    const card = document.createElement("div");
    card.className = "card";
    card.hidden = true;
    const small = document.createElement("canvas");
    [small.width, small.height] = [tile, tile];
    const words = document.createElement("span");
    card.append(small, words);
    view.querySelector("svg").style.visibility = "hidden";
    view.append(canvas, card);

    let [zoom, left, top] = [1, 0, 0];
    let pictures = false;
    let chosen = "";
    let onlyAstray = false;
    const shown = (point) => (chosen === "" || point.kind === Number(chosen)) && (!onlyAstray || point.astray);
    const base = () => Math.min(view.clientWidth, view.clientHeight) / 1080;
    const place = (point) => {
      const scale = base() * zoom;
      return [view.clientWidth / 2 + (point.x - 500) * scale + left, view.clientHeight / 2 + (point.y - 500) * scale + top];
    };
    // Colors follow the theme; asking for them a thousand times a frame would be slow.
    let colors = null;
    const draw = () => {
      colors ??= points.map((point) => getComputedStyle(point.node).fill);
      const density = devicePixelRatio || 1;
      [canvas.width, canvas.height] = [view.clientWidth * density, view.clientHeight * density];
      pen.scale(density, density);
      const side = Math.min(tile, Math.max(14, 20 * base() * Math.sqrt(zoom) * zoom ** 0.4));
      for (const full of [false, true]) {
        for (const point of points) {
          if (shown(point) !== full) continue;
          const [x, y] = place(point);
          if (x < -side || y < -side || x > view.clientWidth + side || y > view.clientHeight + side) continue;
          pen.globalAlpha = full ? 1 : 0.12;
          const color = colors[point.index];
          if (pictures && full && tiles.complete) {
            pen.drawImage(tiles, (point.index % columns) * tile, Math.floor(point.index / columns) * tile, tile, tile, x - side / 2, y - side / 2, side, side);
            pen.strokeStyle = color;
            pen.lineWidth = 2;
            pen.strokeRect(x - side / 2, y - side / 2, side, side);
          } else {
            pen.fillStyle = color;
            pen.beginPath();
            pen.arc(x, y, Math.min(8, 3 * Math.sqrt(zoom) + 0.5), 0, 7);
            pen.fill();
          }
        }
      }
    };
    let waiting = false;
    const soon = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    };
    const look = (event) => {
      const box = view.getBoundingClientRect();
      const at = [event.clientX - box.left, event.clientY - box.top];
      let nearest = null;
      let least = (pictures ? 30 : 18) ** 2;
      for (const point of points.filter(shown)) {
        const [x, y] = place(point);
        const distance = (x - at[0]) ** 2 + (y - at[1]) ** 2;
        if (distance < least) [nearest, least] = [point, distance];
      }
      card.hidden = !nearest;
      if (!nearest) return;
      const brush = small.getContext("2d");
      if (tiles.complete) brush.drawImage(tiles, (nearest.index % columns) * tile, Math.floor(nearest.index / columns) * tile, tile, tile, 0, 0, tile, tile);
      const caption = document.createElement("span");
      caption.className = "quietly";
      caption.textContent = nearest.caption + (nearest.astray ? " (nearest is of another class)" : "");
      words.replaceChildren(names[nearest.kind] ?? "", caption);
      const [x, y] = place(nearest);
      card.style.left = `${Math.max(4, Math.min(x + 12, view.clientWidth - card.offsetWidth - 4))}px`;
      card.style.top = `${Math.max(4, Math.min(y + 12, view.clientHeight - card.offsetHeight - 4))}px`;
    };
    const zoomAt = (factor, x, y) => {
      const next = Math.max(0.8, Math.min(40, zoom * factor));
      const [cx, cy] = [x - view.clientWidth / 2, y - view.clientHeight / 2];
      left = cx - ((cx - left) * next) / zoom;
      top = cy - ((cy - top) * next) / zoom;
      zoom = next;
      soon();
    };
    view.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = view.getBoundingClientRect();
      zoomAt(Math.exp(-event.deltaY * 0.0015), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    const fingers = new Map();
    view.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); view.setPointerCapture(event.pointerId); look(event); });
    for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, (event) => fingers.delete(event.pointerId));
    view.addEventListener("pointerleave", () => { card.hidden = true; });
    view.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return look(event);
      if (fingers.size === 1) {
        left += event.clientX - before.clientX;
        top += event.clientY - before.clientY;
        card.hidden = true;
      } else {
        const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
        const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
        const box = view.getBoundingClientRect();
        zoomAt(apart(event) / Math.max(1, apart(before)), other.clientX - box.left, other.clientY - box.top);
      }
      fingers.set(event.pointerId, event);
      soon();
    });
    view.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
      const middle = [view.clientWidth / 2, view.clientHeight / 2];
      if (moves[event.key]) [left, top] = [left + moves[event.key][0], top + moves[event.key][1]];
      else if (event.key === "+") zoomAt(1.3, ...middle);
      else if (event.key === "-") zoomAt(1 / 1.3, ...middle);
      else return;
      event.preventDefault();
      soon();
    });
    choose(document.querySelector(".tools .choice"), "draw", (what) => { pictures = what === "pictures"; soon(); });
    document.getElementById("map-class").addEventListener("change", (event) => { chosen = event.target.value; soon(); });
    document.getElementById("map-astray").addEventListener("change", (event) => { onlyAstray = event.target.checked; soon(); });
    document.getElementById("map-reset").addEventListener("click", () => { [zoom, left, top] = [1, 0, 0]; soon(); });
    tiles.addEventListener("load", soon);
    new ResizeObserver(soon).observe(view);
    const repaint = () => { colors = null; soon(); };
    button.addEventListener("click", repaint);
    dark.addEventListener("change", repaint);
    soon();
  }
})();
