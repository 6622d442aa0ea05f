// No serious accessibility violation on any page, in both colour schemes, at this project's width; nothing wider than the window.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { docker, ENGINES, remove, run, runOutOfMemory } from "./engines.ts";
import { expect, test } from "./fixtures.ts";

const SCHEMES = ["dark", "light"] as const;
const names = ["axe-log", "axe-out-of-memory", "axe-unhealthy"] as const;

test.beforeAll(() => {
  for (const engine of ENGINES) {
    remove(engine, ...names);
    run(engine, names[0], ["-e", "API_KEY=1", "-p", "80", "-m", "64m"], "lab", "log", "--rate", "5", "--stderr-every", "3");
    runOutOfMemory(engine, names[1], "16m", "64m");
    run(engine, names[2], ["--health-cmd", "exit 1", "--health-interval", "1s", "--health-retries", "1"], "lab", "sleep");
  }
});
test.afterAll(() => {
  for (const engine of ENGINES) remove(engine, ...names);
});

async function check(page: Page, what: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  expect(
    serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`),
    what,
  ).toEqual([]);
  const { wide, window: width } = await page.evaluate(() => ({
    wide: Math.max(document.documentElement.scrollWidth, document.querySelector("main")?.scrollWidth ?? 0),
    window: window.innerWidth,
  }));
  expect(wide, `${what} is not wider than the window`).toBeLessThanOrEqual(width);
}

for (const scheme of SCHEMES) {
  test.describe(scheme, () => {
    // The check itself takes seconds on a large page.
    test.slow();
    test.use({ colorScheme: scheme });

    test("pages", async ({ page }) => {
      const pages: readonly (readonly [path: string, ready: RegExp])[] = [
        ["/", /Needs attention/],
        ["/containers?engine=all", /axe-log/],
        ["/containers?engine=all&group=project", /No project/],
        ["/containers?engine=all&q=nothing+like+it", /No container matches/],
        ["/containers/new", /The same as a command/],
        ["/images", /containeros\/starter/],
        ["/volumes", /Volumes/],
        ["/compare", /New comparison/],
        ["/settings", /What works here/],
        ["/no/such/page", /Page not found/],
      ];
      for (const [path, ready] of pages) {
        await page.goto(path);
        await expect(page.getByRole("main")).toContainText(ready);
        await check(page, path);
      }
    });

    test("a container's tabs", async ({ page }) => {
      for (const engine of ENGINES) {
        const id = docker(engine, "inspect", "-f", "{{.Id}}", names[0]);
        const at = `/containers/${engine.name}/${id}`;
        const tabs: readonly (readonly [path: string, ready: RegExp])[] = [
          [at, /Limits and policy/],
          [`${at}/logs`, /line \d+ of many/],
          [`${at}/stats`, /limit 64 MiB/],
          [`${at}/stats?view=table`, /working set/],
          [`${at}/inside`, /read from the kernel/],
          [`${at}/inside?form=outline`, /inode/],
          [`${at}/inspect`, /HostConfig/],
          [`/containers/${engine.name}/${docker(engine, "inspect", "-f", "{{.Id}}", names[1])}`, /Killed: out of memory/],
          [`/containers/${engine.name}/${docker(engine, "inspect", "-f", "{{.Id}}", names[2])}`, /failed check/],
        ];
        for (const [path, ready] of tabs) {
          await page.goto(path);
          await expect(page.getByRole("main")).toContainText(ready);
          await check(page, path);
        }
      }
    });

    test("dialogs, menus and what stays open over a page", async ({ page }) => {
      const main = page.getByRole("main");
      await page.goto("/containers?engine=all&q=axe-log");
      await main.getByRole("button", { name: "Actions for axe-log" }).first().click();
      await check(page, "the menu of a row");
      await page.getByRole("menuitem", { name: "Remove…" }).click();
      await expect(page.getByRole("dialog")).toContainText("is lost");
      await check(page, "the confirmation of a removal");
      await page.keyboard.press("Escape");
      await main.getByRole("checkbox", { name: "Select axe-log" }).first().click();
      await expect(main.getByRole("toolbar")).toBeVisible();
      await check(page, "the bar for several rows");
      await page.getByRole("button", { name: /job/i }).click();
      await expect(page.getByRole("dialog", { name: "Jobs" })).toBeVisible();
      await check(page, "the jobs");
      await page.goto("/images");
      await main.getByRole("button", { name: "Pull an image" }).click();
      await check(page, "the pull of an image");
      await page.goto("/containers/new");
      await main.getByRole("button", { name: "Add a port" }).click();
      await main.getByRole("button", { name: "Add storage" }).click();
      await main.getByRole("button", { name: "Add a variable" }).click();
      await main.getByRole("button", { name: /^Create only/ }).click();
      await expect(main.getByText(/fields need attention/)).toBeVisible();
      await check(page, "the form with errors");
    });

    test("set-up and sign-in", async ({ browser, baseURL }) => {
      const context = await browser.newContext({ colorScheme: scheme, storageState: { cookies: [], origins: [] }, ...(baseURL ? { baseURL } : {}) });
      const page = await context.newPage();
      await page.goto("/login");
      await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
      await check(page, "sign-in");
      await context.close();
    });
  });
}
