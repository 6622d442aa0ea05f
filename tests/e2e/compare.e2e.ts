import { readFileSync } from "node:fs";

import { ENGINES } from "./engines.ts";
import { expect, goTo, test } from "./fixtures.ts";

test("the engines are compared on the same work, and the figures can be taken along", async ({ page, refusals }) => {
  test.skip(ENGINES.length < 2, "one engine was asked for");
  refusals.expect(422);
  await page.goto("/");
  await goTo(page, "Compare");
  const main = page.getByRole("main");
  const runs = main.getByRole("textbox", { name: "Runs on each engine" });

  await test.step("what cannot be run is said in its place", async () => {
    await runs.fill("0");
    await main.getByRole("button", { name: "Run the comparison" }).click();
    await expect(runs).toHaveAttribute("aria-invalid", "true");
    await main.getByRole("combobox", { name: "Image" }).fill("no/such:image");
    await expect(main.getByText("Neither engine has this image. Pull it on both first.")).toBeVisible();
    await main.getByRole("combobox", { name: "Image" }).fill("");
  });

  await test.step("run it", async () => {
    await runs.fill("4");
    await main.getByRole("button", { name: "Run the comparison" }).click();
    await expect(page).toHaveURL(/run=/);
    const progress = main.getByRole("region", { name: "Under way" });
    await expect(progress.getByRole("progressbar").first()).toBeVisible();
    await expect(progress).toHaveCount(0, { timeout: 60_000 });
    await expect(main.getByRole("region", { name: "Raw samples" })).toContainText("8 runs");
  });

  await test.step("read it", async () => {
    for (const name of ["Start to exit, median", "Create to removed, median", "Peak memory of the container"]) {
      const tile = main.getByRole("region", { name });
      await expect(tile).toContainText("Docker");
      await expect(tile).toContainText("Mini");
    }
    await expect(main.getByRole("region", { name: "Start to exit, median" })).toContainText("Mini is");
    for (const name of ["Start to exit, all runs", "Where the time goes, medians"]) {
      await expect(main.getByRole("img", { name })).toBeVisible();
    }
    const isolation = main.getByRole("region", { name: "Isolation" }).first();
    await expect(isolation.getByRole("columnheader", { name: "Docker" })).toBeVisible();
    await expect(isolation.getByRole("columnheader", { name: "Mini" })).toBeVisible();
    expect(await isolation.getByRole("row").count()).toBeGreaterThan(8);
  });

  await test.step("take it along", async () => {
    const downloading = page.waitForEvent("download");
    await main.getByRole("button", { name: "Download as JSON" }).click();
    const result = JSON.parse(readFileSync(await (await downloading).path(), "utf8")) as {
      engines: { engine: string; samples: { exit_code: number }[] }[];
    };
    expect(result.engines.map(({ samples }) => samples.length)).toEqual([4, 4]);
    expect(result.engines.flatMap(({ samples }) => samples).every(({ exit_code: code }) => code === 0)).toBe(true);
  });
});
