// What is wrong in the form of a new container is said at its field, and nothing half-made is left behind.
import { docker, ENGINES, inspect, registry, remove, run, runOutOfMemory } from "./engines.ts";
import { expect, test } from "./fixtures.ts";

for (const engine of ENGINES) {
  const name = `form-${engine.name}`;
  const holder = `${name}-holder`;
  const port = engine.name === "docker" ? 18_082 : 18_083;

  test.describe(`on ${engine.title}`, () => {
    test.beforeEach(() => remove(engine, name, holder));
    test.afterEach(() => remove(engine, name, holder));

    test("each error of a new container is shown in its place", async ({ page, refusals }) => {
      refusals.expect(404, 409, 422, 500);
      run(engine, holder, ["-p", `127.0.0.1:${String(port)}:80`], "lab", "serve");
      await page.goto(`/containers/new?engine=${engine.name}`);
      const main = page.getByRole("main");
      const form = main.getByRole("form", { name: "New container" });
      const submit = main.getByRole("button", { name: `Create and start on ${engine.title}` });
      const image = main.getByRole("combobox", { name: "Image" });
      const called = main.getByRole("textbox", { name: "Name", exact: true });
      const memory = main.getByRole("textbox", { name: "Memory" });
      const command = main.getByRole("textbox", { name: "Command" });
      await expect(main.getByRole("radio", { name: engine.title })).toBeChecked();

      await test.step("what is missing and what is no limit, before anything is sent", async () => {
        await memory.fill("1k");
        await main.getByRole("textbox", { name: "CPUs" }).fill("-1");
        await main.getByRole("textbox", { name: "Processes" }).fill("none");
        await submit.click();
        const summary = form.getByRole("alert");
        await expect(summary).toContainText("4 fields need attention");
        await expect(image).toHaveAttribute("aria-invalid", "true");
        await expect(memory).toHaveAttribute("aria-invalid", "true");
        await expect(memory).toHaveAccessibleDescription(/At least 6m/);
        await summary.getByRole("button", { name: "Memory: At least 6m." }).click();
        await expect(memory).toBeFocused();
        await memory.fill("64m");
        await main.getByRole("textbox", { name: "CPUs" }).fill("");
        await main.getByRole("textbox", { name: "Processes" }).fill("");
      });

      await test.step("a limit that this machine cannot give", async () => {
        await image.fill("containeros/starter");
        await main.getByRole("textbox", { name: "CPUs" }).fill("5000");
        await called.fill(name);
        await submit.click();
        await expect(main.getByRole("textbox", { name: "CPUs" })).toHaveAttribute("aria-invalid", "true");
        expect(inspect(engine, name)).toBeNull();
        await main.getByRole("textbox", { name: "CPUs" }).fill("");
      });

      await test.step("an image that no registry has", async () => {
        await image.fill(`${registry()}/no/such:image`);
        await expect(main.getByText(`Not on ${engine.title} yet: it is pulled first.`)).toBeVisible();
        await submit.click();
        await expect(image).toHaveAttribute("aria-invalid", "true");
        await expect(form.getByRole("alert")).toContainText("The container was not created");
        expect(inspect(engine, name)).toBeNull();
        await image.fill("containeros/starter");
      });

      await test.step("a name in use", async () => {
        await called.fill(holder);
        await submit.click();
        await expect(called).toHaveAttribute("aria-invalid", "true");
        await expect(called).toHaveAccessibleDescription(/in use/);
        await called.fill(name);
      });

      await test.step("a port in use: said before, and by the engine", async () => {
        await main.getByRole("button", { name: "Add a port" }).click();
        const host = main.getByRole("textbox", { name: "Host port" });
        await host.fill(String(port));
        await main.getByRole("textbox", { name: "Container port" }).fill("80");
        await expect(host).toHaveAccessibleDescription(
          `Host port ${String(port)} is used by ${holder} on ${engine.title}.`,
        );
        await command.fill("lab serve");
        await submit.click();
        await expect(host).toHaveAttribute("aria-invalid", "true");
        await expect(form.getByRole("alert")).toContainText(/Ports 1, Host port: .*in use/);
        expect(inspect(engine, name)).toBeNull();
        await main.getByRole("button", { name: "Remove port 1" }).click();
      });

      await test.step("a program that the image does not have", async () => {
        await command.fill("no-such-program");
        await submit.click();
        await expect(command).toHaveAttribute("aria-invalid", "true");
        expect(inspect(engine, name)).toBeNull();
      });

      await test.step("with all of it mended it starts", async () => {
        await command.fill("lab sleep");
        await submit.click();
        await expect(main.getByRole("heading", { level: 1, name })).toBeVisible();
        expect(inspect(engine, name)?.State.Running).toBe(true);
      });
    });

    test("a pasted .env file becomes variables, and a draft outlives leaving the page", async ({ page }) => {
      await page.goto(`/containers/new?engine=${engine.name}`);
      const main = page.getByRole("main");
      await main.getByRole("button", { name: "Paste .env" }).click();
      await page
        .getByRole("dialog")
        .getByRole("textbox")
        .fill('# settings\nexport A=1\nB="two words"\nnonsense');
      await expect(page.getByRole("dialog")).toContainText("2 variables · 1 line was not understood");
      await page.getByRole("dialog").getByRole("button", { name: "Add them" }).click();
      await expect(main.getByRole("region", { name: "The same as a command" })).toContainText("-e A=1 -e 'B=two words'");
      await main.getByRole("link", { name: "Cancel" }).click();
      await expect(page.getByRole("heading", { level: 1, name: "Containers" })).toBeVisible();
      await main.getByRole("link", { name: "New container" }).first().click();
      await expect(main.getByRole("group", { name: "Environment 2" }).getByRole("textbox", { name: "Value" })).toHaveValue(
        "two words",
      );
    });

    test("a container out of memory is shown as such, with why and what to do", async ({ page }) => {
      runOutOfMemory(engine, name, "32m", "64m");
      await page.goto("/");
      const attention = page.getByRole("region", { name: "Needs attention" });
      const line = attention.getByRole("listitem").filter({ hasText: name });
      await expect(line).toContainText("out of memory");
      await line.getByRole("link", { name: `Explain: ${name}` }).click();
      const why = page.getByRole("region", { name: "Why it ended" });
      await expect(why).toContainText("Killed: out of memory, limit 32 MiB");
      await expect(why).toContainText(/Next: Raise the memory limit/);
      await why.getByText("What this rests on").click();
      await expect(why.getByRole("listitem").first()).toBeVisible();
      expect(docker(engine, "inspect", "-f", "{{.State.OOMKilled}}", name)).toBe("true");
    });
  });
}
