// Both engines side by side: the switch, rows that say whose they are, the same name on both.
import { DOCKER, ENGINES, inspect, MINI, remove, run } from "./engines.ts";
import { chooseEngine, expect, goTo, test } from "./fixtures.ts";

test.describe("with both engines", () => {
  test.skip(ENGINES.length < 2, "one engine was asked for");
  const name = "switch-twin";
  const clear = (): void => {
    for (const engine of ENGINES) remove(engine, name);
  };
  test.beforeEach(clear);
  test.afterEach(clear);

  test("the switch shows one, the other or both, and each row says whose it is", async ({ page, phone }) => {
    for (const engine of ENGINES) run(engine, name, ["-m", "64m"], "lab", "sleep");
    await page.goto("/");
    const engines = page.getByRole("region", { name: "Engines" });
    for (const { title } of ENGINES) {
      await expect(engines.getByRole("listitem").filter({ hasText: title })).toContainText("connected");
    }
    await goTo(page, "Containers");
    const rows = page
      .getByRole("main")
      .getByRole(phone ? "listitem" : "row")
      .filter({ hasText: name });
    await chooseEngine(page, "All");
    await expect(rows).toHaveCount(2);
    for (const { title } of [DOCKER, MINI]) {
      await chooseEngine(page, title);
      await expect(rows).toHaveCount(1);
      await expect(rows).toContainText(title);
    }
    await goTo(page, "Images");
    await expect(page, "the choice goes along").toHaveTitle(/Images/);
    await expect(page.getByRole("banner").getByRole("radio", { name: "Mini" })).toBeChecked();

    await goTo(page, "Containers");
    await chooseEngine(page, "All");
    await rows.filter({ hasText: "Mini" }).getByRole("link", { name }).click();
    await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
    await expect(page).toHaveURL(/\/containers\/mini\//);
    await expect(page.getByRole("banner").getByRole("radio", { name: "Mini" })).toBeChecked();
    await expect(page.getByRole("banner").getByRole("radio", { name: "Docker" })).toBeDisabled();
  });

  test("what belongs to both is removed from both in one go", async ({ page }) => {
    for (const engine of ENGINES) run(engine, name, [], "lab", "sleep");
    await page.goto(`/containers?engine=all&q=${name}`);
    const main = page.getByRole("main");
    const boxes = main.getByRole("checkbox", { name: `Select ${name}` });
    await expect(boxes).toHaveCount(2);
    await boxes.first().click();
    await boxes.last().click();
    await main.getByRole("toolbar").getByRole("button", { name: "Remove…" }).click();
    const dialog = page.getByRole("dialog", { name: "Remove 2 containers on both engines?" });
    await dialog.getByRole("textbox", { name: "Type 2 to confirm" }).fill("2");
    await dialog.getByRole("button", { name: "Remove 2 containers" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(boxes).toHaveCount(0);
    for (const engine of ENGINES) expect(inspect(engine, name)).toBeNull();
  });
});
