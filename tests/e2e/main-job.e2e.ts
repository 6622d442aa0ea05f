// The main job, end to end, on each engine: see, create, watch, read the logs of, stop and remove a container.
import { readFileSync } from "node:fs";

import { docker, ENGINES, inspect, remove } from "./engines.ts";
import { choose, chooseEngine, expect, goTo, head, row, tab, test } from "./fixtures.ts";

for (const engine of ENGINES) {
  const name = `job-${engine.name}`;
  const volume = `${name}-data`;
  // Apart from both engines' other ports; a phone's run comes after the desktop's and uses them again.
  const port = engine.name === "docker" ? 18_080 : 18_081;

  const clear = (): void => {
    remove(engine, name, `${name}-renamed`);
    if (docker(engine, "volume", "ls", "-q").split("\n").includes(volume)) docker(engine, "volume", "rm", volume);
  };

  test.describe(`on ${engine.title}`, () => {
    test.beforeEach(clear);
    test.afterEach(clear);

    test("a container is created, watched, read, stopped and removed", async ({ page, phone }) => {
      const main = page.getByRole("main");

      await test.step("choose the engine and open the form", async () => {
        await page.goto("/");
        await chooseEngine(page, engine.title);
        await expect(page).toHaveURL(new RegExp(`engine=${engine.name}`));
        await goTo(page, "Containers");
        await main.getByRole("link", { name: "New container" }).first().click();
        await expect(main.getByRole("radio", { name: engine.title })).toBeChecked();
      });

      await test.step("fill in the form; the same as a command is shown beside", async () => {
        await main.getByRole("combobox", { name: "Image" }).fill("containeros/starter");
        await expect(main.getByText(`On ${engine.title} already.`)).toBeVisible();
        await main.getByRole("textbox", { name: "Name", exact: true }).fill(name);
        await main
          .getByRole("textbox", { name: "Command" })
          .fill("sh -c 'lab serve & exec lab log --rate 5 --stderr-every 3'");
        await main.getByRole("button", { name: "Add a port" }).click();
        await main.getByRole("textbox", { name: "Host port" }).fill(String(port));
        await main.getByRole("textbox", { name: "Container port" }).fill("80");
        await main.getByRole("button", { name: "Add storage" }).click();
        await main.getByRole("combobox", { name: "Volume name" }).fill(volume);
        await main.getByRole("textbox", { name: "Path in the container" }).fill("/data");
        await main.getByRole("button", { name: "Add a variable" }).click();
        const variable = main.getByRole("group", { name: "Environment 1" });
        await variable.getByRole("textbox", { name: "Name" }).fill("DB_PASSWORD");
        await variable.getByRole("textbox", { name: "Value" }).fill("hush hush");
        await main.getByRole("textbox", { name: "Memory" }).fill("64m");
        await main.getByRole("textbox", { name: "CPUs" }).fill("0.5");
        await main.getByRole("textbox", { name: "Processes" }).fill("64");
        await main.getByRole("combobox", { name: "Restart policy" }).selectOption("unless_stopped");
        const line = main.getByRole("region", { name: "The same as a command" });
        await expect(line).toContainText(
          `run -d --name ${name} -p 127.0.0.1:${String(port)}:80 -v ${volume}:/data -e 'DB_PASSWORD=hush hush' ` +
            "-m 64m --cpus 0.5 --pids-limit 64 --restart unless-stopped containeros/starter sh -c",
        );
        if (engine.name === "mini") await expect(line).toContainText("docker -H unix://");
      });

      await test.step("create and start it", async () => {
        await main.getByRole("button", { name: `Create and start on ${engine.title}` }).click();
        await expect(main.getByRole("heading", { level: 1, name })).toBeVisible();
        await expect(head(page)).toContainText("running");
        expect(inspect(engine, name)).toMatchObject({
          State: { Running: true },
          HostConfig: {
            Memory: 64 * 1024 ** 2,
            NanoCpus: 500_000_000,
            PidsLimit: 64,
            RestartPolicy: { Name: "unless-stopped" },
          },
        });
        expect(inspect(engine, name)?.Config.Env).toContain("DB_PASSWORD=hush hush");
        await expect(async () => {
          const answer = await fetch(`http://127.0.0.1:${String(port)}/json`);
          expect(answer.status).toBe(200);
        }).toPass({ timeout: 15_000 });
      });

      await test.step("see what it is and what it takes, live", async () => {
        await expect(main.getByRole("region", { name: "CPU" })).toContainText(/\d+\.\d %/);
        await expect(main.getByRole("region", { name: "Memory" })).toContainText(/\d (KiB|MiB)/);
        await expect(main.getByRole("region", { name: "Limits and policy" })).toContainText("64 MiB");
        await expect(main.getByRole("region", { name: "Ports" })).toContainText(`127.0.0.1:${String(port)}`);
        await expect(main.getByRole("region", { name: "Mounts" })).toContainText(volume);
        const environment = main.getByRole("region", { name: "Environment" });
        await expect(environment).not.toContainText("hush hush");
        await environment.getByRole("button", { name: "Reveal DB_PASSWORD" }).click();
        await expect(environment).toContainText("hush hush");
      });

      await test.step("read its log as it grows", async () => {
        await tab(page, "Logs");
        const log = main.getByRole("log");
        await expect(log).toContainText("line 7 of many");
        const count = main.getByText(/^[\d,]+ lines$/);
        const before = await count.textContent();
        await expect(count).not.toHaveText(before ?? "");

        await choose(main.getByRole("radio", { name: "stderr" }));
        await expect(log).toContainText("line 3 of many");
        await expect(log).not.toContainText("line 4 of many");
        await choose(main.getByRole("radio", { name: "Both" }));

        await main.getByRole("searchbox", { name: "Search the log" }).fill("LINE 5 of");
        await main.getByRole("button", { name: "Next match" }).click();
        await expect(main.getByText("1 of 1", { exact: true })).toBeVisible();
        await main.getByRole("button", { name: "Only matches" }).click();
        await expect(log).toContainText("line 5 of many");
        await expect(log).not.toContainText("line 7 of many");
        await main.getByRole("searchbox").fill("");

        await main.getByRole("button", { name: "Timestamps" }).click();
        await expect(log.locator("time").first()).toBeVisible();
        await main.getByRole("button", { name: "Timestamps" }).click();

        const follow = main.getByRole("button", { name: "Follow", exact: true });
        await expect(follow, "going to a match must not be undone by new lines").toHaveAttribute("aria-pressed", "false");
        await follow.click();
        await expect(follow).toHaveAttribute("aria-pressed", "true");
        await log.press("Home");
        await expect(follow).toHaveAttribute("aria-pressed", "false");
        await expect(log).toContainText("line 1 of many");
        await main.getByRole("button", { name: /new lines|newest line/ }).click();
        await expect(follow).toHaveAttribute("aria-pressed", "true");

        const downloading = page.waitForEvent("download");
        await main.getByRole("link", { name: "Download" }).click();
        const file = readFileSync(await (await downloading).path(), "utf8");
        expect(file).toContain("line 1 of many\n");
      });

      await test.step("see its figures over time", async () => {
        await tab(page, "Stats");
        for (const title of ["CPU", "Memory", "Network", "Disk", "Processes"]) {
          await expect(main.getByRole("img", { name: `${title} over time` })).toBeVisible();
        }
        await expect(main.getByRole("region", { name: "Memory" })).toContainText("limit 64 MiB");
        await main.getByRole("button", { name: "As a table" }).click();
        await expect(main.getByRole("row").nth(3)).toBeVisible();
      });

      await test.step("look inside, from the live kernel", async () => {
        await tab(page, "Inside");
        await expect(main.getByText(/^read from the kernel/)).toBeVisible();
        if (phone) {
          await expect(main.getByText(/^its own · inode \d+$/).first()).toBeVisible();
          await expect(main).toContainText(/readlink \/proc\/\d+\/ns\/pid/);
        } else {
          const namespaces = main.getByRole("region", { name: "Namespaces" });
          await namespaces.getByRole("button", { name: /^Processes/ }).click();
          const shown = main.getByRole("region", { name: "Show me" });
          await expect(shown).toContainText("counts its own processes from 1");
          await expect(shown).toContainText("readlink /proc/");
          await expect(namespaces.getByRole("button", { name: /^User/ })).toContainText("same as host");
          await expect(main.getByRole("region", { name: "Processes" })).toContainText(/1 ↔ \d+/);
          await expect(main.getByRole("region", { name: "Control group" })).toContainText(/of 64 MiB/);
          await expect(main.getByRole("region", { name: "Capabilities" })).toContainText("net_bind_service");
          await expect(main.getByRole("region", { name: "Confinement" })).toContainText(/filter \(\d program/);
          await expect(main.getByRole("region", { name: "File system layers" })).toContainText("Writable");
          await expect(main.getByRole("region", { name: "Mounts" })).toContainText("/data");
        }
      });

      await test.step("read the engine's own words, secrets masked", async () => {
        await tab(page, "Inspect");
        await main.getByRole("searchbox").fill("NanoCpus");
        await expect(main.getByText("500000000")).toBeVisible();
        await main.getByRole("button", { name: "Raw JSON" }).click();
        await expect(main.getByText('"HostConfig"')).toBeVisible();
        await expect(main.getByText("hush hush")).toHaveCount(0);
      });

      await test.step("rename it", async () => {
        await main.getByRole("button", { name: "More actions" }).click();
        await page.getByRole("menuitem", { name: "Rename" }).click();
        await page.getByRole("dialog").getByRole("textbox", { name: "New name" }).fill(`${name}-renamed`);
        await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
        await expect(main.getByRole("heading", { level: 1, name: `${name}-renamed` })).toBeVisible();
      });

      await test.step("pause and resume it", async () => {
        await main.getByRole("button", { name: "More actions" }).click();
        await page.getByRole("menuitem", { name: "Pause" }).click();
        await expect(head(page)).toContainText("paused");
        await main.getByRole("button", { name: "More actions" }).click();
        await page.getByRole("menuitem", { name: "Resume" }).click();
        await expect(head(page)).toContainText("running");
      });

      await test.step("restart it, after being told what that loses", async () => {
        const before = docker(engine, "inspect", "-f", "{{.State.Pid}}", `${name}-renamed`);
        await main.getByRole("button", { name: "Restart" }).click();
        const dialog = page.getByRole("dialog", { name: `Restart ${name}-renamed on ${engine.title}?` });
        await expect(dialog).toContainText("What it holds in memory is lost");
        await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
        await dialog.getByRole("button", { name: "Restart" }).click();
        await expect(dialog).toHaveCount(0);
        await expect(async () => {
          const now = docker(engine, "inspect", "-f", "{{.State.Pid}}", `${name}-renamed`);
          expect(Number(now)).toBeGreaterThan(0);
          expect(now).not.toBe(before);
        }).toPass({ timeout: 15_000 });
      });

      await test.step("stop it and read why it ended", async () => {
        await main.getByRole("button", { name: "Stop", exact: true }).click();
        await expect(head(page)).toContainText(/exited \d+/);
        expect(inspect(engine, `${name}-renamed`)?.State.Running).toBe(false);
        await tab(page, "Overview");
        await expect(main.getByRole("region", { name: "Why it ended" })).toBeVisible();
        await tab(page, "Logs");
        await expect(main.getByRole("log")).toContainText("line 1 of many");
      });

      await test.step("remove it, after being told what goes", async () => {
        await main.getByRole("button", { name: "More actions" }).click();
        await page.getByRole("menuitem", { name: "Remove…" }).click();
        const dialog = page.getByRole("dialog", { name: `Remove ${name}-renamed on ${engine.title}?` });
        await expect(dialog.getByRole("listitem")).toContainText(`${name}-renamed`);
        await expect(dialog).toContainText("what it wrote outside of volumes is lost");
        await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
        await dialog.getByRole("button", { name: `Remove on ${engine.title}` }).click();
        await expect(main.getByRole("heading", { level: 1, name: "Containers" })).toBeVisible();
        await expect(row(page, `${name}-renamed`, phone)).toHaveCount(0);
        expect(inspect(engine, `${name}-renamed`)).toBeNull();
        // The volume had a name, so it is kept.
        expect(docker(engine, "volume", "ls", "-q").split("\n")).toContain(volume);
      });
    });
  });
}
