// The pictures of README.md and docs/manual.md, from the product at work: `UPDATE_SCREENSHOTS=1 tests/run browser`.
import { join } from "node:path";

import type { Locator, Page } from "@playwright/test";

import { docker, DOCKER, type Engine, MINI, remove, run } from "./engines.ts";
import { choose, expect, tab, test } from "./fixtures.ts";

const target = new URL("../../docs/images/", import.meta.url).pathname;
const LIMITED = ["-m", "64m"];

type Scene = readonly [engine: Engine, name: string, flags: readonly string[], ...command: string[]];
const compose = (service: string): string[] => [
  "--label",
  "com.docker.compose.project=shop",
  "--label",
  `com.docker.compose.service=${service}`,
];
const SCENES: readonly Scene[] = [
  [DOCKER, "shop-web", [...compose("web"), ...LIMITED, "-p", "18090:80", "--restart", "unless-stopped"], "lab", "serve"],
  [DOCKER, "shop-db", [...compose("db"), "-m", "128m", "-v", "shop-db:/data"], "lab", "mem", "48m", "--hold", "forever"],
  [DOCKER, "shop-api", [...compose("api"), ...LIMITED, "--health-cmd", "exit 1", "--health-interval", "2s"], "lab", "serve"],
  [DOCKER, "importer", ["-m", "32m"], "lab", "mem", "64m"],
  [MINI, "encoder", ["-m", "128m", "--cpus", "0.4", "--pids-limit", "64", "-e", "API_TOKEN=secret"], "lab", "cpu"],
  [MINI, "cache", [...LIMITED, "-p", "127.0.0.1:18091:80"], "lab", "serve"],
  [MINI, "ticker", [...LIMITED], "lab", "log", "--rate", "4", "--stderr-every", "5"],
  [MINI, "nightly", [...LIMITED], "lab", "sleep"],
  [MINI, "migration", [], "lab", "exit", "3"],
];

const clear = (): void => {
  for (const engine of [DOCKER, MINI]) remove(engine, ...SCENES.filter(([of]) => of === engine).map(([, name]) => name));
  if (docker(DOCKER, "volume", "ls", "-q").split("\n").includes("shop-db")) docker(DOCKER, "volume", "rm", "shop-db");
};

test.beforeAll(() => {
  clear();
  for (const [engine, name, flags, ...command] of SCENES) run(engine, name, flags, ...command);
  docker(MINI, "pause", "nightly");
});
test.afterAll(clear);

async function picture(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.screenshot({ path: join(target, `${name}.png`), animations: "disabled", caret: "hide" });
}

/** Waits until a live line shows at least so many samples. */
async function grown(line: Locator, samples: number): Promise<void> {
  const path = line.locator("path").last();
  await expect
    .poll(async () => ((await path.getAttribute("d")) ?? "").split(/[ML]/).length, { timeout: 120_000 })
    .toBeGreaterThan(samples);
}

const idOf = (engine: Engine, name: string): string => docker(engine, "inspect", "-f", "{{.Id}}", name);

test("the pictures of the documents", async ({ page }) => {
  test.setTimeout(600_000);
  const main = page.getByRole("main");
  await page.goto("/?engine=all");
  await grown(page.getByRole("img", { name: "CPU of the machine, last two minutes" }), 100);
  await grown(page.getByRole("img", { name: "CPU of encoder" }), 50);
  await picture(page, "dashboard");

  await page.goto("/containers?engine=all&group=project");
  await grown(page.getByRole("img", { name: "CPU of encoder, last minute" }), 50);
  await main.getByRole("checkbox", { name: "Select cache" }).click();
  await main.getByRole("checkbox", { name: "Select ticker" }).click();
  await picture(page, "containers");

  await page.goto("/containers/new?engine=mini");
  await main.getByRole("combobox", { name: "Image" }).fill("containeros/starter");
  await main.getByRole("textbox", { name: "Name", exact: true }).fill("hello");
  await main.getByRole("textbox", { name: "Command" }).fill("lab serve");
  await main.getByRole("button", { name: "Add a port" }).click();
  await main.getByRole("textbox", { name: "Host port" }).fill("18091");
  await main.getByRole("textbox", { name: "Container port" }).fill("80");
  await main.getByRole("textbox", { name: "Memory" }).fill("64m");
  await main.getByRole("textbox", { name: "Memory" }).blur();
  await page.evaluate(() => document.querySelector("main")?.scrollTo(0, 0));
  await picture(page, "create");

  await page.goto(`/containers/mini/${idOf(MINI, "ticker")}/logs`);
  await expect(main.getByRole("log")).toContainText(/line \d+ of many/);
  await main.getByRole("button", { name: "Timestamps" }).click();
  await picture(page, "logs");
  await main.getByRole("button", { name: "Timestamps" }).click();

  await page.goto(`/containers/mini/${idOf(MINI, "encoder")}`);
  await tab(page, "Stats");
  await expect(main.getByRole("img", { name: "CPU over time" })).toBeVisible();
  await picture(page, "stats");
  await tab(page, "Inside");
  const quota = main.getByRole("region", { name: "Control group" }).getByRole("button", { name: /^CPU limit/ });
  await quota.click();
  await page.evaluate(() => document.querySelector("main")?.scrollTo(0, 0));
  await picture(page, "inside");

  await page.goto(`/containers/docker/${idOf(DOCKER, "importer")}`);
  await expect(main.getByRole("region", { name: "Why it ended" })).toBeVisible();
  await picture(page, "out-of-memory");

  await page.goto("/compare");
  await main.getByRole("textbox", { name: "Runs on each engine" }).fill("20");
  await main.getByRole("button", { name: "Run the comparison" }).click();
  await expect(main.getByRole("region", { name: "Raw samples" })).toContainText("40 runs", { timeout: 120_000 });
  await main.getByRole("region", { name: "Start to exit, median" }).scrollIntoViewIfNeeded();
  await page.evaluate(() => {
    const tile = document.querySelector('[aria-label="Start to exit, median"]');
    document.querySelector("main")?.scrollBy(0, (tile?.getBoundingClientRect().top ?? 0) - 120);
  });
  await picture(page, "compare");

  await page.setViewportSize({ width: 360, height: 740 });
  await page.goto("/containers?engine=all");
  await choose(page.getByRole("banner").getByRole("radio", { name: "All" }));
  await picture(page, "phone");
});
