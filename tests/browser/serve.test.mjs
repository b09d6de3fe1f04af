// The search page, end to end: a drawn butterfly is dropped, found, followed, cropped, filtered, and explained.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open, views } from "./browser.mjs";

const kinsight = process.env.KINSIGHT_BIN;
const images = process.env.KINSIGHT_IMAGES;
const run = process.env.KINSIGHT_RUN;
const skip = kinsight && images && run ? false : "KINSIGHT_BIN, KINSIGHT_IMAGES and KINSIGHT_RUN are not set";
let browser, server, address;

before(async () => {
  if (skip) return;
  browser = await launch();
  server = spawn(kinsight, ["serve", "--images", images, "--run", run, "--address", "127.0.0.1:0", "--log", "off"]);
  address = await new Promise((done, fail) => {
    let said = "";
    server.stdout.on("data", (bytes) => {
      said += bytes;
      const found = said.match(/http:\/\/[0-9.:]+/);
      if (found) done(found[0]);
    });
    server.on("exit", (code) => fail(new Error(`the server ended with ${code}: ${said}`)));
  });
});
after(async () => {
  await browser?.close();
  server?.kill();
});

/** A picture and the class it belongs to. */
const sample = () => {
  const label = readdirSync(images).filter((name) => !name.startsWith(".")).sort()[5];
  const file = readdirSync(join(images, label)).sort()[0];
  return { label: label.replaceAll(/[_-]/g, " "), bytes: readFileSync(join(images, label, file)) };
};

/** Drops a file on the page, as a hand would. */
const drop = (page, bytes) =>
  page.evaluate((base64) => {
    const data = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([data], "dropped.jpg", { type: "image/jpeg" }));
    for (const type of ["dragenter", "dragover", "drop"]) {
      document.getElementById("drop").dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer }));
    }
  }, bytes.toString("base64"));

/** Waits until the results are those of the last change. */
const settled = (page) => page.waitForFunction(() =>
  document.querySelectorAll("#results .card").length > 0 && !document.querySelector("#results.loading"));
const scores = (page) => page.locator(".card .caption span:last-child").allTextContents();
const searched = (page) => page.waitForResponse((response) => response.url().endsWith("/search"));

for (const view of views) {
  test(`the page in ${view.name}`, { skip }, async () => {
    const page = await open(browser, address, view);
    await page.waitForSelector("#sample-row button");
    await page.waitForLoadState("networkidle");
    await page.keep("serve-start", { whole: false });
    await drop(page, sample().bytes);
    await settled(page);
    await page.waitForLoadState("networkidle");
    await page.keep("serve-results", { whole: false });
    await page.check();
  });
}

test("from a dropped picture to its kin", { skip }, async () => {
  const { label, bytes } = sample();
  const page = await open(browser, address);
  await page.waitForSelector("#sample-row button");
  await drop(page, bytes);
  await settled(page);

  // Its class first.
  assert.equal((await page.locator("#headline").textContent()).toLowerCase(), label.toLowerCase());
  assert.equal((await page.locator(".card .caption span:first-child").first().textContent()).toLowerCase(), label.toLowerCase());
  assert.equal((await scores(page))[0], "1.00", "the picture itself is in the collection");
  assert.match(await page.locator("#announce").textContent(), /^24 results/);

  // Evidence on hover, on the result and on the query.
  await page.locator(".card .hit").nth(1).hover();
  await page.waitForSelector(".card[data-evidence=shown] canvas.on");
  assert.ok(await page.locator("#query-overlay.on").isVisible());
  await page.keep("serve-evidence", { whole: false });
  await page.mouse.move(5, 400);

  // Why, side by side.
  await page.locator(".card").nth(1).hover();
  await page.locator(".card .why").nth(1).click();
  await page.waitForSelector("#why[open]");
  for (const mode of ["evidence", "attention", "pairs"]) {
    await page.locator(`#why-modes input[value=${mode}]`).check({ force: true });
    const painted = await page.evaluate((lines) => {
      const canvas = document.getElementById(lines ? "why-lines" : "why-first-overlay");
      // Read from a copy, so that the page's own canvas stays as it is.
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      return copy.getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
    }, mode === "pairs");
    assert.ok(painted, `${mode} is drawn`);
  }
  await page.keep("serve-why", { whole: false });
  await page.keyboard.press("Escape");

  // A part of the picture.
  const whole = await scores(page);
  const stage = await page.locator("#query-image").boundingBox();
  const answered = searched(page);
  await page.mouse.move(stage.x + stage.width * 0.2, stage.y + stage.height * 0.2);
  await page.mouse.down();
  await page.mouse.move(stage.x + stage.width * 0.6, stage.y + stage.height * 0.55, { steps: 5 });
  await page.mouse.up();
  await answered;
  await settled(page);
  assert.notDeepEqual(await scores(page), whole);
  await page.keep("serve-crop", { whole: false });
  await Promise.all([searched(page), page.locator("#crop-clear").click()]);
  await settled(page);
  assert.deepEqual(await scores(page), whole);

  // A label, and away again.
  const chip = page.locator("#labels .chip").first();
  await Promise.all([searched(page), chip.click()]);
  await settled(page);
  const wanted = await chip.getAttribute("data-label");
  const shown = await page.locator(".card .caption span:first-child").allTextContents();
  assert.ok(shown.every((text) => text === wanted.replaceAll(/[_-]/g, " ")), `${shown}`);
  await Promise.all([searched(page), chip.click()]);
  await settled(page);

  // A threshold in the middle of the scores.
  const threshold = Number(whole[8]) + 0.01;
  await Promise.all([searched(page), page.locator("#threshold").fill(threshold.toFixed(2))]);
  await settled(page);
  const above = await scores(page);
  assert.ok(above.length < whole.length && above.every((score) => Number(score) >= threshold - 0.011), `${above}`);
  await Promise.all([searched(page), page.locator("#threshold").fill("0")]);
  await settled(page);

  // More like another.
  const next = await page.locator(".card").nth(3).getAttribute("data-id");
  await Promise.all([searched(page), page.locator(".card .hit").nth(3).click()]);
  await settled(page);
  assert.ok(!(await page.locator(`.card[data-id="${next}"]`).count()), "the query is not among its answers");
  await page.goBack();
  await settled(page);
  await page.waitForFunction((first) => document.querySelector(".card .caption span:last-child")?.textContent === first, whole[0]);
  await page.check();
});

test("by keyboard alone, with counter-examples", { skip }, async () => {
  const page = await open(browser, address);
  await page.waitForSelector("#sample-row button");
  await page.locator("#sample-row button").first().focus();
  await Promise.all([searched(page), page.keyboard.press("Enter")]);
  await settled(page);
  await page.locator(".card .hit").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  const before = await scores(page);
  await Promise.all([searched(page), page.keyboard.press("-")]);
  await settled(page);
  assert.equal(await page.locator("#terms li.without").count(), 1);
  assert.notDeepEqual(await scores(page), before);
  // Every control has a name to be called by.
  const nameless = await page.evaluate(() => [...document.querySelectorAll("button, input, select, a, dialog")].filter((element) =>
    !element.textContent.trim() && !element.getAttribute("aria-label") && !element.labels?.length && !element.getAttribute("aria-labelledby")).map((element) => element.outerHTML.slice(0, 90)));
  assert.deepEqual(nameless, []);
  await page.check();
});

test("the API's page asks the API", { skip }, async () => {
  const page = await open(browser, `${address}/api`);
  const listing = page.locator(".operation", { hasText: "/v1/collections/{collection}/images" }).first();
  await listing.locator("summary").click();
  await listing.locator("button[type=submit]").click();
  await listing.locator(".answer", { hasText: "\"thumbnail\"" }).waitFor();
  await page.keep("serve-api", { whole: false });
  await page.check();
});
