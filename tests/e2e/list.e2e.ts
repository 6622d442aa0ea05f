// The table of containers: search, sort, filter, group, choose several, act on all of them.
import { docker, ENGINES, inspect, remove, run } from "./engines.ts";
import { act, chooseEngine, expect, goTo, row, test } from "./fixtures.ts";

for (const engine of ENGINES) {
  const names = ["alpha", "beta", "gamma", "delta"].map((name) => `list-${name}-${engine.name}`);
  const [alpha = "", beta = "", gamma = "", delta = ""] = names;

  test.describe(`on ${engine.title}`, () => {
    test.beforeEach(() => {
      remove(engine, ...names);
      const project = ["--label", "com.docker.compose.project=shop", "--label", "tier=front"];
      run(engine, alpha, project, "lab", "sleep");
      run(engine, beta, project, "lab", "sleep");
      run(engine, gamma, [], "lab", "cpu", "--seconds", "600");
      docker(engine, "create", "--name", delta, "containeros/starter", "lab", "sleep");
    });
    test.afterEach(() => remove(engine, ...names));

    test("containers are found, sorted, filtered and grouped", async ({ page, phone }) => {
      await page.goto(`/containers?engine=${engine.name}`);
      const main = page.getByRole("main");
      const search = main.getByRole("searchbox", { name: "Filter containers" });
      const order = async (): Promise<string[]> => {
        const found = await main.getByRole("link", { name: /^list-/ }).allTextContents();
        return found.filter((name) => names.includes(name));
      };

      await test.step("found by name, label and state", async () => {
        await search.fill("list- beta");
        await expect(row(page, beta, phone)).toBeVisible();
        await expect(row(page, alpha, phone)).toHaveCount(0);
        await search.fill("label:tier=front");
        await expect.poll(order).toEqual([alpha, beta]);
        await search.fill("list-");
        await main.getByRole("button", { name: /^created/ }).click();
        await expect.poll(order).toEqual([delta]);
        await expect(page).toHaveURL(/state=created/);
        await main.getByRole("button", { name: /^created/ }).click();
        await search.fill("no such thing");
        await expect(main.getByText("No container matches")).toBeVisible();
        await main.getByRole("button", { name: "Clear the filter" }).click();
        await expect(search).toHaveValue("");
      });

      await test.step("grouped by Compose project", async () => {
        await search.fill("list-");
        await main.getByRole("button", { name: "Group by Compose project" }).click();
        await expect(main.getByText(/^shop( ·|$)/).first()).toBeVisible();
        await expect(main.getByText("No project")).toBeVisible();
        await expect.poll(order).toEqual([alpha, beta, delta, gamma]);
        await main.getByRole("button", { name: "Group by Compose project" }).click();
      });

      if (!phone) {
        await test.step("sorted by name and by CPU, which changes", async () => {
          await main.getByRole("columnheader", { name: "Name" }).getByRole("button").click();
          await expect(main.getByRole("columnheader", { name: "Name" })).toHaveAttribute("aria-sort", "descending");
          await expect.poll(order).toEqual([gamma, delta, beta, alpha]);
          await main.getByRole("columnheader", { name: "CPU" }).getByRole("button").click();
          await main.getByRole("columnheader", { name: "CPU" }).getByRole("button").click();
          // The order is not changed under the reader's hands.
          await page.mouse.move(0, 0);
          await page.locator("h1").focus();
          await expect.poll(async () => (await order())[0]).toBe(gamma);
        });

        await test.step("with the keyboard alone", async () => {
          await page.goto(`/containers?engine=${engine.name}&q=list-`);
          await expect.poll(order).toEqual([alpha, beta, delta, gamma]);
          await row(page, alpha, phone).focus();
          await page.keyboard.press("j");
          await expect(row(page, beta, phone)).toBeFocused();
          await page.keyboard.press("x");
          await expect(main.getByRole("checkbox", { name: `Select ${beta}` })).toBeChecked();
          await page.keyboard.press("Enter");
          await expect(main.getByRole("heading", { level: 1, name: beta })).toBeVisible();
          await page.keyboard.press("g");
          await page.keyboard.press("c");
          await expect(main.getByRole("heading", { level: 1, name: "Containers" })).toBeVisible();
          await page.keyboard.press("/");
          await expect(search).toBeFocused();
        });
      }
    });

    test("several are stopped, started and removed at once, each refusal told", async ({ page, phone }) => {
      await page.goto(`/containers?engine=${engine.name}&q=list-`);
      const main = page.getByRole("main");
      const bar = main.getByRole("toolbar");
      const check = async (...wanted: string[]): Promise<void> => {
        for (const name of wanted) await main.getByRole("checkbox", { name: `Select ${name}`, exact: true }).click();
      };

      await test.step("stop", async () => {
        await check(alpha, beta);
        await expect(bar).toContainText("2 selected");
        await bar.getByRole("button", { name: "Stop" }).click();
        for (const name of [alpha, beta]) {
          await expect(row(page, name, phone)).toContainText("exited");
          expect(inspect(engine, name)?.State.Running).toBe(false);
        }
      });

      await test.step("start; pausing what does not run is refused by name", async () => {
        if (await bar.isVisible()) await bar.getByRole("button", { name: "Clear the selection" }).click();
        await check(alpha, beta);
        await bar.getByRole("button", { name: "Start", exact: true }).click();
        await expect(row(page, alpha, phone)).toContainText("running");
        await expect(row(page, beta, phone)).toContainText("running");
        if (await bar.isVisible()) await bar.getByRole("button", { name: "Clear the selection" }).click();
        await check(alpha, delta);
        await bar.getByRole("button", { name: "Pause" }).click();
        await expect(row(page, alpha, phone)).toContainText("paused");
        await expect(main.getByRole("alert").filter({ hasText: "1 was refused" })).toContainText(delta);
        await expect(main.getByRole("checkbox", { name: `Select ${delta}` })).toBeChecked();
        await main.getByRole("button", { name: "Dismiss" }).click();
        await bar.getByRole("button", { name: "Clear the selection" }).click();
        await act(page, alpha, "Resume");
        await expect(row(page, alpha, phone)).toContainText("running");
      });

      await test.step("remove, with the number typed", async () => {
        await check(alpha, beta, delta);
        await bar.getByRole("button", { name: "Remove…" }).click();
        const dialog = page.getByRole("dialog", { name: `Remove 3 containers on ${engine.title}?` });
        for (const name of [alpha, beta, delta]) await expect(dialog).toContainText(name);
        await expect(dialog).toContainText("it runs and will be killed");
        const confirm = dialog.getByRole("button", { name: "Remove 3 containers" });
        // It says that it is disabled; a click all the same does nothing.
        await confirm.click({ force: true });
        await expect(dialog).toBeVisible();
        expect(inspect(engine, alpha)).not.toBeNull();
        await dialog.getByRole("textbox", { name: "Type 3 to confirm" }).fill("3");
        await confirm.click();
        await expect(dialog).toHaveCount(0);
        for (const name of [alpha, beta, delta]) {
          await expect(row(page, name, phone)).toHaveCount(0);
          expect(inspect(engine, name)).toBeNull();
        }
        await expect(row(page, gamma, phone)).toContainText("running");
      });

      await test.step("a removal whose loss changed meanwhile is asked again", async () => {
        await act(page, gamma, "Remove…");
        const dialog = page.getByRole("dialog", { name: `Remove ${gamma} on ${engine.title}?` });
        await expect(dialog).toContainText("it runs and will be killed");
        await dialog.getByRole("button", { name: "Cancel" }).click();
        expect(inspect(engine, gamma)?.State.Running).toBe(true);
      });
    });

    test("what is done elsewhere shows at once", async ({ page, phone }) => {
      await page.goto(`/containers?engine=${engine.name}&q=list-`);
      await expect(row(page, alpha, phone)).toContainText("running");
      docker(engine, "pause", alpha);
      await expect(row(page, alpha, phone)).toContainText("paused", { timeout: 3000 });
      docker(engine, "unpause", alpha);
      docker(engine, "rm", "-f", beta);
      await expect(row(page, beta, phone)).toHaveCount(0, { timeout: 3000 });
      await goTo(page, "Dashboard");
      await expect(page.getByRole("region", { name: "Engines" })).toContainText(`${engine.title}`);
      await chooseEngine(page, "All");
      await expect(page.getByRole("region", { name: "Top by CPU" })).toContainText(gamma, { timeout: 20_000 });
    });
  });
}
