import { ACCOUNT, expect, sessionFile, test } from "./fixtures.ts";
import { ENGINES, printedAddress } from "./engines.ts";

// Nobody has an account yet.
test.use({ storageState: { cookies: [], origins: [] } });

test("the printed address sets up the first account, once", async ({ page, refusals }) => {
  refusals.expect(401, 403, 422);
  await test.step("every address leads to the set-up until it is done", async () => {
    await page.goto("/containers");
    await expect(page.getByRole("heading", { name: "Set up ContainerOS" })).toBeVisible();
    await expect(page).toHaveURL(/\/setup$/);
  });
  const token = page.getByRole("textbox", { name: "Set-up token" });
  const password = page.getByLabel("Password", { exact: false }).and(page.getByRole("textbox"));
  await test.step("a wrong token and a short password are refused in place", async () => {
    await token.fill("0".repeat(32));
    await page.getByRole("textbox", { name: "Name" }).fill(ACCOUNT.name);
    await password.fill("short");
    await page.getByRole("button", { name: "Create administrator" }).click();
    await expect(password).toHaveAttribute("aria-invalid", "true");
    await password.fill(ACCOUNT.password);
    await page.getByRole("button", { name: "Create administrator" }).click();
    await expect(page.getByRole("main")).toContainText(/token/i);
    await expect(page.getByRole("heading", { name: "Set up ContainerOS" })).toBeVisible();
  });
  await test.step("the right one makes the administrator and shows the engines found", async () => {
    // Only the part behind the # differs from the address the page is at: the browser would not load it again.
    await page.goto("about:blank");
    await page.goto(printedAddress());
    await expect(token).not.toHaveValue("");
    await page.getByRole("textbox", { name: "Name" }).fill(ACCOUNT.name);
    await password.fill(ACCOUNT.password);
    await page.getByRole("button", { name: "Create administrator" }).click();
    await expect(page.getByRole("heading", { name: "You are set up" })).toBeVisible();
    await expect(page, "the used token leaves the history").toHaveURL(/\/setup$/);
    const found = page.getByRole("list", { name: "Engines found" });
    for (const { title } of ENGINES) {
      await expect(found.getByRole("listitem").filter({ hasText: title })).toContainText("connected");
    }
    await page.getByRole("link", { name: "Go to the dashboard" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
  });
  await test.step("signing out ends the session", async () => {
    await page.getByRole("button", { name: `Account: ${ACCOUNT.name}` }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
    await page.goto("/images?q=starter");
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  });
  await test.step("a wrong password does not say what was wrong", async () => {
    await page.getByRole("textbox", { name: "Name" }).fill(ACCOUNT.name);
    await password.fill("another password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert")).toContainText(/wrong name or password/i);
  });
  await test.step("the right one leads to where one wanted to go", async () => {
    await password.fill(ACCOUNT.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Images" })).toBeVisible();
    await expect(page.getByRole("searchbox", { name: "Filter images" })).toHaveValue("starter");
  });
  await test.step("each engine has an image to begin with", async () => {
    await page.getByRole("searchbox", { name: "Filter images" }).fill("containeros/starter");
    for (const { title } of ENGINES) {
      await expect(page.getByRole("row").filter({ hasText: title }).filter({ hasText: "starter:latest" })).toBeVisible();
    }
  });
  await test.step("the token is worth nothing any more", async () => {
    await page.context().storageState({ path: sessionFile() });
    await page.context().clearCookies();
    await page.goto("about:blank");
    await page.goto(printedAddress());
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  });
});
