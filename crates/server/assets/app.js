// The search page: from a picture to its kin.

import { announce, byId, count, make, readable, settled, toast } from "/assets/dom.js";
import { ask, collectionPath, form, key, show } from "/assets/client.js";
import { Query } from "/assets/query.js";
import { Results } from "/assets/results.js";
import { Why } from "/assets/evidence.js";
import { takePicture } from "/assets/camera.js";

const PAGE = 24;
const state = { collections: [], collection: null, labels: new Set(), k: PAGE, asking: null, limits: {} };
// Pictures that were searched by: the history names them by number, since not every browser gives back what it is given.
const pictures = [];
const why = new Why();
const query = new Query(() => { state.k = PAGE; search(); });
const results = new Results(query, () => state.collection.name, {
  more: (hit) => open({ ...hit }),
  add: (hit) => query.add({ ...hit }),
  exclude: (hit) => query.exclude({ ...hit }),
  why: (hit) => why.open(state.collection.name, query, hit),
});

/** Searches by one picture, from wherever it came. */
function open(term, remember = true) {
  byId("start").hidden = true;
  byId("workspace").hidden = false;
  document.body.dataset.view = "results";
  query.start(term);
  if (remember) history.pushState(term.id ? { id: term.id } : { picture: pictures.push(term) - 1 }, "");
  window.scrollTo({ top: 0 });
}

function restart(remember = true) {
  byId("start").hidden = false;
  byId("workspace").hidden = true;
  document.body.dataset.view = "start";
  if (remember) history.pushState({}, "");
}

async function search() {
  // Answers that a later question has overtaken are not shown.
  const asking = Symbol("search");
  state.asking = asking;
  byId("results").classList.add("loading");
  const threshold = Number(byId("threshold").value);
  const body = form([
    ...query.pairs(),
    ["k", String(Math.min(state.k, state.limits.max_results ?? PAGE))],
    ["threshold", threshold > 0 ? String(threshold) : ""],
    ["where", byId("where").value.trim()],
    ...[...state.labels].map((label) => ["label", label]),
  ]);
  try {
    const path = `${collectionPath(state.collection.name)}/search`;
    const answer = await ask(path, { method: "POST", body });
    if (state.asking !== asking) return;
    byId("where-error").textContent = "";
    painted(answer);
  } catch (error) {
    if (state.asking !== asking) return;
    if (error.code === "bad_filter") byId("where-error").textContent = error.message;
    else failed(error);
  } finally {
    if (state.asking === asking) byId("results").classList.remove("loading");
  }
}

function painted(answer) {
  const { results: hits, classes, thresholds } = answer;
  results.paint(hits, thresholds?.similar ?? null);
  const [best] = classes;
  const headline = byId("headline");
  headline.textContent = best ? readable(best.label) : hits.length ? "Most similar" : "No kin found";
  const subline = byId("subline");
  subline.replaceChildren();
  const badge = { duplicate: "The same picture", same: "The same", similar: "Similar", unknown: "Nothing like it here" }[answer.verdict];
  if (badge) subline.append(make("span", { class: `badge ${answer.verdict}`, text: badge }));
  const share = best ? `${Math.round(100 * best.share)} % of the nearest agree` : "";
  const others = classes.slice(1, 3).map((vote) => readable(vote.label)).join(", ");
  const parts = [share, others && `then ${others}`, `${count(hits.length)} shown`, `${answer.took_ms.toFixed(0)} ms`];
  subline.append(parts.filter(Boolean).join("  ·  "));
  byId("more").hidden = hits.length < state.k || state.k >= (state.limits.max_results ?? PAGE);
  announce(hits.length ? `${hits.length} results. Most similar: ${readable(best?.label ?? hits[0].id)}, ${hits[0].score.toFixed(2)}` : "No results");
}

function failed(error) {
  if (error.status === 401) askForKey();
  else toast(error.message);
}

/** Takes the first picture out of a paste, drop or file input. */
function take(files) {
  const file = [...(files ?? [])].find((file) => file.type.startsWith("image/") || /\.(jpe?g|png|webp|gif|bmp|tiff?)$/i.test(file.name));
  if (!file) {
    toast("That holds no picture.");
    return;
  }
  if (state.limits.max_body_bytes && file.size > state.limits.max_body_bytes) {
    shrink(file).then((blob) => open({ blob })).catch(() => toast("That picture is too large, and this browser cannot make it smaller."));
    return;
  }
  open({ blob: file });
}

/** A smaller copy of a picture that is over the server's limit. */
async function shrink(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, 2000 / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob ? done(blob) : fail()), "image/jpeg", 0.9));
}

function paintLabels() {
  const wanted = byId("label-search").value.trim().toLowerCase();
  const all = state.collection.labels;
  byId("label-field").hidden = all.length === 0;
  byId("label-search").hidden = all.length < 10;
  const shown = all.filter(({ label }) => state.labels.has(label) || readable(label).toLowerCase().includes(wanted)).slice(0, 60);
  byId("labels").replaceChildren(...shown.map(({ label, images }) =>
    make("button", { type: "button", class: "chip", "aria-pressed": String(state.labels.has(label)), "data-label": label, onclick: (event) => {
      if (!state.labels.delete(label)) state.labels.add(label);
      event.currentTarget.setAttribute("aria-pressed", String(state.labels.has(label)));
      search();
    } }, readable(label), make("small", { text: count(images) }))));
}

function paintThresholds() {
  const { thresholds } = state.collection;
  const names = [["similar", "Similar"], ["same", "Same"], ["duplicate", "Duplicate"]];
  byId("threshold-marks").replaceChildren(...names.filter(([name]) => thresholds?.[name] !== undefined && thresholds[name] !== null).map(([name, text]) =>
    make("button", { type: "button", text, onclick: () => {
      byId("threshold").value = String(thresholds[name]);
      byId("threshold").dispatchEvent(new Event("input"));
    } })));
}

async function choose(name) {
  state.collection = state.collections.find((collection) => collection.name === name) ?? state.collections[0];
  if (!state.collection) return;
  state.labels.clear();
  const { images, labels } = state.collection;
  byId("collection-size").textContent = `${count(images)} ${images === 1 ? "picture" : "pictures"}`;
  byId("start-lead").textContent = images
    ? `Show a picture. The model answers with its closest kin among ${count(images)}${labels.length ? ` of ${count(labels.length)} kinds` : ""}.`
    : "This collection is empty. Add pictures with the API or with kinsight index.";
  paintLabels();
  paintThresholds();
  await paintSamples();
}

/** A few pictures to start from, of different labels. */
async function paintSamples() {
  const name = state.collection.name;
  const { images } = await ask(`${collectionPath(name)}/images?sample=16`);
  if (name !== state.collection.name) return;
  byId("samples").hidden = images.length === 0;
  byId("sample-row").replaceChildren(...images.map((image) => {
    const picture = make("img", { alt: "", decoding: "async" });
    show(picture, `${image.thumbnail}?side=160`);
    return make("li", {}, make("button", { type: "button", "aria-label": `Search by ${readable(image.label ?? "this picture")}`, onclick: () => open({ ...image }) }, picture));
  }));
}

function askForKey() {
  byId("key").value = "";
  if (!byId("key-dialog").open) byId("key-dialog").showModal();
}

async function load() {
  try {
    const answer = await ask("/v1/collections");
    Object.assign(state, { collections: answer.collections, limits: answer.limits });
    byId("collection").replaceChildren(...answer.collections.map(({ name }) => make("option", { value: name, text: readable(name) })));
    byId("collection").disabled = answer.collections.length < 2;
    await choose(state.collection?.name);
  } catch (error) {
    failed(error);
  }
}

function listen() {
  const on = (id, event, action) => byId(id).addEventListener(event, action);
  on("choose", "click", () => byId("file").click());
  on("another", "click", () => byId("file").click());
  on("camera", "click", () => takePicture((blob) => open({ blob })));
  for (const id of ["file", "capture"]) {
    on(id, "change", (event) => {
      if (event.target.files.length) take(event.target.files);
      event.target.value = "";
    });
  }
  on("drop", "click", (event) => { if (!event.target.closest("button")) byId("file").click(); });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  let inside = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragenter", (event) => { if (holdsFiles(event)) { inside += 1; byId("veil").hidden = false; } });
  document.addEventListener("dragleave", () => { inside = Math.max(0, inside - 1); byId("veil").hidden = inside === 0; });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    byId("veil").hidden = true;
    take(event.dataTransfer.files);
  });
  const searchSoon = settled(220, search);
  on("threshold", "input", () => {
    const value = Number(byId("threshold").value);
    byId("threshold-value").textContent = value > 0 ? value.toFixed(2) : "any";
    searchSoon();
  });
  on("where", "input", settled(500, search));
  on("label-search", "input", paintLabels);
  on("more", "click", () => { state.k += PAGE; search(); });
  on("collection", "change", async (event) => {
    restart();
    await choose(event.target.value).catch(failed);
  });
  on("key-button", "click", askForKey);
  on("key-form", "submit", () => { key.set(byId("key").value.trim()); load(); });
  on("theme-button", "click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("kinsight-theme", document.documentElement.dataset.theme);
  });
  document.querySelector(".brand").addEventListener("click", (event) => { event.preventDefault(); restart(); });
  window.addEventListener("popstate", async (event) => {
    const { id, picture } = event.state ?? {};
    try {
      if (pictures[picture]) open(pictures[picture], false);
      else if (id) open(await ask(`${collectionPath(state.collection.name)}/images/${id}`), false);
      else restart(false);
    } catch (error) {
      failed(error);
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") { event.preventDefault(); byId("where").focus(); }
    if (event.key === "o") { event.preventDefault(); byId("file").click(); }
  });
  if (matchMedia("(max-width: 860px)").matches) byId("filters").open = false;
}

const theme = localStorage.getItem("kinsight-theme");
if (theme) document.documentElement.dataset.theme = theme;
listen();
load();
