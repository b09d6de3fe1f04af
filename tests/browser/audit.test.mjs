// audit.html of a data set: whole, offline, in both themes and on a phone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, open, views } from "./browser.mjs";

const audit = process.env.KINSIGHT_AUDIT;
const skip = audit ? false : "KINSIGHT_AUDIT names no audit.html";
let browser;
before(async () => { if (!skip) browser = await launch(); });
after(async () => { await browser?.close(); });

for (const view of views) {
  test(`an audit in ${view.name}`, { skip }, async () => {
    const page = await open(browser, audit, view);
    assert.match(await page.title(), /Kinsight audit$/);
    // The planted faults, see .ci/browser.
    for (const id of ["unreadable", "conflicts", "equal", "classes", "sizes"]) {
      assert.ok(await page.locator(`section h2#${id}`).isVisible(), `no section ${id}`);
    }
    assert.ok((await page.locator("svg.pic use").count()) > 3, "hardly any picture");
    await page.keep("audit");
    await page.check();
  });
}
