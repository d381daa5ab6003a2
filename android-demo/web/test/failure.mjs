// What the page says when it cannot open its bundle: node failure.mjs URL [CHROMIUM]. Prints one JSON document.

import { chromium } from "playwright-core";

const [address, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
try {
  const page = await browser.newPage({ viewport: { width: 360, height: 640 }, locale: "en-US" });
  await page.goto(address);
  await page.waitForSelector("#result .note.warn", { timeout: 60_000 });
  const said = await page.textContent("#result .note.warn");
  const details = await page.textContent("#result pre");
  await page.click("#speed-tab");
  await page.click("#about-tab");
  const about = await page.textContent("#about");
  console.log(JSON.stringify({ said, details, about: about.slice(0, 200), state: await page.textContent("#state") }));
} finally {
  await browser.close();
}
