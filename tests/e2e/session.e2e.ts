import { DOCKER, inspect, remove } from "./engines.ts";
import { ACCOUNT, expect, goTo, test } from "./fixtures.ts";

test("a session that ends is begun again over the page, and what was typed is kept", async ({ page, refusals }) => {
  refusals.expect(401);
  await page.goto("/containers/new");
  const main = page.getByRole("main");
  await main.getByRole("textbox", { name: "Command" }).fill("typed before");
  const cookies = await page.context().cookies();
  await page.context().clearCookies();
  await main.getByRole("combobox", { name: "Image" }).fill("containeros/starter");
  await main.getByRole("button", { name: /^Create only/ }).click();
  const dialog = page.getByRole("dialog", { name: "Your session has ended" });
  await expect(dialog.getByRole("textbox", { name: "Name" })).toHaveValue(ACCOUNT.name);
  await dialog.getByLabel("Password").and(page.getByRole("textbox")).fill(ACCOUNT.password);
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await expect(dialog).toHaveCount(0);
  await expect(main.getByRole("textbox", { name: "Command" })).toHaveValue("typed before");
  await page.context().addCookies(cookies);
});

test("what gives power over the host asks for the password again", async ({ page, refusals }) => {
  refusals.expect(401, 403);
  const path = "**/api/v1/engines/docker/containers";
  const name = "session-power";
  remove(DOCKER, name);
  // The server asks ten minutes after the password was given: its answer is put in once, all else is the server's own.
  await page.route(
    path,
    (route) =>
      route.fulfill({
        status: 403,
        contentType: "application/problem+json",
        json: {
          type: "about:blank",
          title: "Forbidden",
          status: 403,
          code: "reauthenticate",
          detail: "your password was given more than ten minutes ago",
          request_id: "test",
        },
      }),
    { times: 1 },
  );
  await page.goto("/containers/new?engine=docker");
  const main = page.getByRole("main");
  await main.getByRole("combobox", { name: "Image" }).fill("containeros/starter");
  await main.getByRole("textbox", { name: "Name", exact: true }).fill(name);
  await main.getByRole("textbox", { name: "Command" }).fill("lab sleep");
  await main.getByRole("button", { name: "Add storage" }).click();
  await main.getByRole("combobox", { name: "Kind" }).selectOption("bind");
  await main.getByRole("textbox", { name: "Path on the host" }).fill("/tmp");
  await main.getByRole("textbox", { name: "Path in the container" }).fill("/host");
  await expect(main.getByText("what it changes there is changed on the host")).toBeVisible();
  await main.getByRole("button", { name: /^Create and start/ }).click();
  const dialog = page.getByRole("dialog", { name: "Enter your password again" });
  const password = dialog.getByLabel("Password").and(page.getByRole("textbox"));
  await expect(password).toBeFocused();
  await password.fill("not the password");
  await dialog.getByRole("button", { name: "Confirm and create" }).click();
  await expect(password).toHaveAttribute("aria-invalid", "true");
  await password.fill(ACCOUNT.password);
  await dialog.getByRole("button", { name: "Confirm and create" }).click();
  await expect(main.getByRole("heading", { level: 1, name })).toBeVisible();
  expect(inspect(DOCKER, name)?.Mounts).toMatchObject([{ Type: "bind", Source: "/tmp", Destination: "/host" }]);
  remove(DOCKER, name);
});

test("the page is served with a strict policy and hashed files that may be kept", async ({ page, request }) => {
  const answer = await request.get("/");
  const policy = answer.headers()["content-security-policy"] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toMatch(/script-src[^;]*unsafe/);
  expect(policy).toContain("frame-ancestors 'none'");
  expect(answer.headers()["cache-control"]).toContain("no-cache");
  const script = /src="(\/assets\/[^"]+\.js)"/.exec(await answer.text())?.[1] ?? "";
  const file = await request.get(script, { headers: { "accept-encoding": "br" } });
  expect(file.headers()["cache-control"]).toContain("immutable");
  expect(file.headers()["content-encoding"]).toBe("br");
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
});

test("a machine without a network is no reason to stop: the server may be on it", async ({ page }) => {
  await page.goto("/");
  const main = page.getByRole("main");
  await expect(main.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  await page.evaluate(() => {
    Object.defineProperty(Navigator.prototype, "onLine", { configurable: true, get: () => false });
    window.dispatchEvent(new Event("offline"));
  });
  await goTo(page, "Settings");
  await expect(main.getByRole("region", { name: "About this server" })).toContainText("Apache-2.0");
  await expect(page.getByRole("status", { name: "Connection: live" })).toBeVisible();
});

test("theme, density and shortcuts are chosen and kept", async ({ page, phone }) => {
  await page.goto("/");
  await goTo(page, "Settings");
  const html = page.locator("html");
  const main = page.getByRole("main");
  await expect(html).toHaveAttribute("data-theme", "dark");
  await main.getByRole("radio", { name: "Light" }).click();
  await expect(html).toHaveAttribute("data-theme", "light");
  await main.getByRole("radio", { name: "Comfortable" }).click();
  await page.reload();
  await expect(html).toHaveAttribute("data-theme", "light");
  await expect(html).toHaveAttribute("data-density", "comfortable");
  if (!phone) {
    await page.locator("h1").focus();
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeVisible();
    await page.keyboard.press("Escape");
    await main.getByRole("checkbox", { name: "Single-key shortcuts" }).uncheck();
    await page.locator("h1").focus();
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
});

test("an address that does not exist says so, and so does a container that is gone", async ({ page, refusals }) => {
  refusals.expect(404);
  await page.goto("/no/such/page");
  await expect(page.getByRole("heading", { name: "Page not found" })).toBeVisible();
  await page.goto(`/containers/docker/${"0".repeat(64)}`);
  await expect(page.getByText("This container is gone")).toBeVisible();
  await page.getByRole("link", { name: "To the containers" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Containers" })).toBeVisible();
});
