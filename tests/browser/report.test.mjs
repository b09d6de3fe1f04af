// report.html of a run: whole, offline, in both themes and on a phone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, views } from "./browser.mjs";

const report = process.env.KINSIGHT_REPORT;
const skip = report ? false : "KINSIGHT_REPORT names no report.html";
let browser;
before(async () => { if (!skip) browser = await launch(); });
after(async () => { await browser?.close(); });

for (const view of views) {
  test(`a report in ${view.name}`, { skip }, async () => {
    const page = await open(browser, report, view);
    assert.match(await page.title(), /Kinsight report$/);
    for (const id of ["results", "curves", "retrieval", "why", "map", "classes", "confusion", "similarities"]) {
      assert.ok(await page.locator(`section h2#${id}`).isVisible(), `no section ${id}`);
    }
    assert.ok((await page.locator("svg.pic use").count()) > 20, "hardly any picture");
    await page.keep("report");
    await page.check();
  });
}

test("an answer can be looked at closely", { skip }, async () => {
  const page = await open(browser, report);
  await page.locator(".hit").first().click();
  const dialog = page.locator("dialog#compare");
  assert.ok(await dialog.isVisible());
  assert.equal(await dialog.locator("img").count(), 2);
  await page.keyboard.press("ArrowRight");
  await page.keep("report-compare", { whole: false });
  await page.check();
  await page.keyboard.press("Escape");
  assert.ok(!(await dialog.isVisible()));
});

test("a patch shows what it matches in the other image", { skip }, async () => {
  const page = await open(browser, report);
  const why = page.locator(".why").first();
  await why.scrollIntoViewIfNeeded();
  const veil = (side) => why.locator(".veil").nth(side);
  const shades = (side) => veil(side).locator("rect:not(.pinned)").evaluateAll((rects) => rects.map((rect) => rect.getAttribute("fill-opacity")).join());
  const before = await shades(1);
  await veil(0).hover({ position: { x: 20, y: 20 } });
  assert.equal(await veil(0).locator(".pinned").count(), 1);
  assert.notEqual(await shades(1), before);
  await page.keep("report-patch", { whole: false });
  await page.mouse.move(2, 2);
  assert.equal(await shades(1), before);
  await page.locator("[data-mode=attention]").click();
  assert.notEqual(await shades(1), before);
  await page.check();
});

test("the map moves, shows pictures and names them", { skip }, async () => {
  const page = await open(browser, report);
  const map = page.locator("#map-view");
  await map.scrollIntoViewIfNeeded();
  const pixels = () => map.locator("canvas").first().evaluate((canvas) => canvas.toDataURL());
  const before = await pixels();
  await page.locator("[data-draw=pictures]").click();
  await page.waitForTimeout(100);
  const pictures = await pixels();
  assert.notEqual(pictures, before);
  await map.focus();
  await page.keyboard.press("+");
  await page.waitForTimeout(100);
  assert.notEqual(await pixels(), pictures);
  await page.locator("#map-reset").click();
  const at = await map.evaluate((view) => {
    const circle = view.querySelector("circle");
    const box = view.getBoundingClientRect();
    const scale = Math.min(box.width, box.height) / 1080;
    return { x: box.width / 2 + (circle.cx.baseVal.value - 500) * scale, y: box.height / 2 + (circle.cy.baseVal.value - 500) * scale };
  });
  await map.hover({ position: at });
  assert.ok(await map.locator(".card").isVisible());
  assert.notEqual(await map.locator(".card").innerText(), "");
  await page.keep("report-map", { whole: false });
  await page.check();
});

test("all answers of a query can be opened", { skip }, async () => {
  const page = await open(browser, report);
  const query = page.locator(".query").first();
  const shown = () => query.locator(".hit:visible").count();
  const before = await shown();
  await query.locator("[data-more]").click();
  assert.ok((await shown()) > before);
  await page.check();
});

test("the theme can be switched and stays", { skip }, async () => {
  const page = await open(browser, report);
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.locator("#theme").click();
  assert.notEqual(await paper(), light);
  await page.check();
});
