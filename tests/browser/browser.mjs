// A page opened as a reader opens it, and everything that went wrong on it.
//
// Every test of this folder opens its pages through `open`, looks at them, and ends with `page.check()`, which fails
// on console errors, on exceptions, on requests that leave the page, and on images without pixels.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));

/** Where screenshots go. */
export const shots = process.env.KINSIGHT_SHOTS ?? join(here, "../../target/browser/screenshots");

/** The sizes and themes that every page must look right in. */
export const views = [
  { name: "light", width: 1280, height: 900, theme: "light" },
  { name: "dark", width: 1280, height: 900, theme: "dark" },
  { name: "phone", width: 390, height: 844, theme: "light" },
];

/** Starts the browser; close it when done. */
export const launch = () =>
  chromium.launch({
    executablePath: process.env.KINSIGHT_CHROMIUM ?? "/usr/bin/chromium",
    // Containers rarely allow the sandbox, and give /dev/shm little room.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });

/**
 * Opens a file or an address. `offline` (the default for files) fails the check on any request beyond the page itself.
 */
export const open = async (browser, target, view = views[0], { offline = !/^https?:/.test(target) } = {}) => {
  const address = /^https?:/.test(target) ? target : pathToFileURL(target).href;
  const context = await browser.newContext({
    viewport: { width: view.width, height: view.height },
    colorScheme: view.theme,
    deviceScaleFactor: 1,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  page.on("requestfailed", (request) => faults.push(`failed: ${short(request.url())}`));
  page.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.status()}: ${short(response.url())}`);
  });
  page.on("request", (request) => {
    const url = request.url();
    if (offline && url !== address && !/^(data|blob):/.test(url)) faults.push(`request: ${short(url)}`);
  });
  await page.goto(address, { waitUntil: "load" });

  /** Fails on whatever went wrong since the page was opened. */
  page.check = async () => {
    faults.push(...(await brokenImages(page)));
    const scrolled = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (scrolled > 1) faults.push(`the page is ${scrolled} px wider than the window of ${view.width} px`);
    assert.deepEqual(faults, [], `${short(address)} (${view.name})`);
  };

  /** Keeps what the page looks like now, whole or as far as the window shows. */
  page.keep = async (name, { whole = true } = {}) => {
    mkdirSync(shots, { recursive: true });
    await page.screenshot({ path: join(shots, `${name}-${view.name}.png`), fullPage: whole });
  };
  return page;
};

const short = (text) => (text.length > 120 ? `${text.slice(0, 120)}..` : text);

/** Every `<img>`, SVG `<image>` and picture that CSS draws must decode to pixels. */
const brokenImages = (page) =>
  page.evaluate(async () => {
    const sources = new Map();
    for (const image of document.querySelectorAll("img")) sources.set(image.currentSrc || image.src, "img");
    for (const image of document.querySelectorAll("image")) sources.set(image.href.baseVal, "svg image");
    for (const node of document.querySelectorAll("[style*='url(']")) {
      const found = getComputedStyle(node).backgroundImage.match(/^url\("(.*)"\)$/);
      if (found) sources.set(found[1], "background");
    }
    const faults = [];
    for (const [source, kind] of sources) {
      if (!source) continue;
      const image = new Image();
      image.src = source;
      try {
        await image.decode();
        if (!image.naturalWidth) throw new Error("no pixels");
      } catch (error) {
        faults.push(`${kind} ${source.slice(0, 80)}: ${error.message}`);
      }
    }
    for (const use of document.querySelectorAll("use")) {
      const target = use.href.baseVal;
      if (!document.querySelector(target)) faults.push(`use of ${target}, which does not exist`);
    }
    return faults;
  });
