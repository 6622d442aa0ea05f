// Images and volumes: list, make or pull, see who uses them, remove after a preview.
import { docker, ENGINES, registry, remove, run } from "./engines.ts";
import { act, expect, goTo, row, test } from "./fixtures.ts";

for (const engine of ENGINES) {
  test.describe(`on ${engine.title}`, () => {
    test("an image is pulled with progress, used, and removed after a preview", async ({ page, phone, refusals }) => {
      refusals.expect(404, 409, 422);
      const reference = `${registry()}/containeros/starter:latest`;
      const missing = `${registry()}/no/such:${phone ? "phone" : "desktop"}`;
      const user = `store-${engine.name}`;
      const untag = (): void => {
        remove(engine, user);
        if (docker(engine, "images", "-q", reference)) docker(engine, "rmi", "-f", reference);
      };
      untag();
      await page.goto(`/images?engine=${engine.name}`);
      const main = page.getByRole("main");
      await expect(row(page, "containeros/starter:latest", phone)).toContainText(engine.title);

      await test.step("what cannot be pulled is said where it was asked, and stays in the jobs", async () => {
        await main.getByRole("button", { name: "Pull an image" }).click();
        const dialog = page.getByRole("dialog", { name: "Pull an image" });
        await dialog.getByRole("button", { name: "Pull", exact: true }).click();
        await expect(dialog.getByRole("textbox", { name: "Image" })).toHaveAttribute("aria-invalid", "true");
        await dialog.getByRole("textbox", { name: "Image" }).fill(missing);
        await dialog.getByRole("button", { name: "Pull", exact: true }).click();
        await expect(dialog).toHaveCount(0);
        const failed = main.getByRole("region", { name: `Pull ${missing}` });
        await expect(failed).toContainText(/not found|manifest unknown|repository/i);
      });

      await test.step("pull", async () => {
        await main.getByRole("button", { name: "Pull an image" }).click();
        const dialog = page.getByRole("dialog", { name: "Pull an image" });
        await expect(dialog.getByRole("radio", { name: engine.title })).toBeChecked();
        await dialog.getByRole("textbox", { name: "Image" }).fill(reference);
        await dialog.getByRole("button", { name: "Pull", exact: true }).click();
        await page.getByRole("button", { name: /job/i }).click();
        const job = page.getByRole("dialog", { name: "Jobs" }).getByRole("listitem").filter({ hasText: reference });
        await expect(job.first()).toContainText("done");
        await page.keyboard.press("Escape");
        await main.getByRole("searchbox").fill(registry());
        await expect(main.getByRole(phone ? "listitem" : "row").filter({ hasText: "starter:latest" })).toHaveCount(1);
        expect(docker(engine, "images", "-q", reference)).not.toBe("");
      });

      await test.step("who uses it, and what its removal would do", async () => {
        run(engine, user, [], "lab", "sleep");
        const image = main.getByRole(phone ? "listitem" : "row").filter({ hasText: "starter:latest" });
        await expect(image).toContainText(user);
        await main.getByRole("button", { name: /^Actions for .*starter:latest$/ }).click();
        await page.getByRole("menuitem", { name: "Remove…" }).click();
        const dialog = page.getByRole("dialog", { name: new RegExp(`^Remove .* from ${engine.title}\\?$`) });
        await expect(dialog).toContainText(`used by`);
        await expect(dialog).toContainText("all its tags go");
        await expect(dialog).toContainText("An image can be pulled again when its registry still has it");
        await dialog.getByRole("button", { name: "Cancel" }).click();
        expect(docker(engine, "images", "-q", reference)).not.toBe("");
        remove(engine, user);
      });

      await test.step("a new container from it", async () => {
        await main.getByRole("button", { name: /^Actions for .*starter:latest$/ }).click();
        await page.getByRole("menuitem", { name: "New container from it" }).click();
        await expect(main.getByRole("combobox", { name: "Image" })).toHaveValue(/starter:latest$/);
        await expect(main.getByRole("radio", { name: engine.title })).toBeChecked();
      });
      untag();
    });

    test("a volume is made, found in use, and removed after a preview", async ({ page, phone, refusals }) => {
      refusals.expect(409, 422);
      const name = `store-data-${engine.name}`;
      const user = `store-user-${engine.name}`;
      const clear = (): void => {
        remove(engine, user);
        if (docker(engine, "volume", "ls", "-q").split("\n").includes(name)) docker(engine, "volume", "rm", name);
      };
      clear();
      await page.goto("/");
      await goTo(page, "Volumes");
      const main = page.getByRole("main");

      await test.step("make it; the name once more is refused in place", async () => {
        for (const again of [false, true]) {
          await main.getByRole("button", { name: "New volume" }).first().click();
          const dialog = page.getByRole("dialog", { name: "New volume" });
          await dialog.getByRole("radio", { name: engine.title }).click();
          await dialog.getByRole("textbox", { name: "Name" }).fill(name);
          await dialog.getByRole("button", { name: "Create" }).click();
          if (again) {
            await expect(dialog.getByRole("textbox", { name: "Name" })).toHaveAttribute("aria-invalid", "true");
            await dialog.getByRole("button", { name: "Cancel" }).click();
          }
          await expect(dialog).toHaveCount(0);
        }
        await main.getByRole("searchbox").fill(name);
        await expect(row(page, name, phone)).toContainText("nobody");
        expect(docker(engine, "volume", "ls", "-q").split("\n")).toContain(name);
      });

      await test.step("what is in use cannot be removed, and says why", async () => {
        run(engine, user, ["-v", `${name}:/data`], "lab", "sleep");
        await expect(row(page, name, phone)).toContainText(user);
        await main.getByRole("button", { name: `Actions for ${name}` }).click();
        const item = page.getByRole("menuitem", { name: "Remove…" });
        await expect(item).toHaveAttribute("aria-disabled", "true");
        await expect(item).toHaveAttribute("title", "a container uses it");
        await page.keyboard.press("Escape");
        remove(engine, user);
        await expect(row(page, name, phone)).toContainText("nobody");
      });

      await test.step("remove it", async () => {
        await act(page, name, "Remove…");
        const dialog = page.getByRole("dialog", { name: `Remove volume ${name} from ${engine.title}?` });
        await expect(dialog).toContainText(name);
        await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
        await dialog.getByRole("button", { name: `Remove from ${engine.title}` }).click();
        await expect(row(page, name, phone)).toHaveCount(0);
        expect(docker(engine, "volume", "ls", "-q").split("\n")).not.toContain(name);
      });
    });
  });
}
