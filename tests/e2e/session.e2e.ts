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
