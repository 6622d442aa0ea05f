import { join } from "node:path";

import { test as base, expect, type Locator, type Page } from "@playwright/test";

import { directory, printedAddress } from "./engines.ts";

export { expect };

/** The account that `first-run` makes. */
export const ACCOUNT = { name: "ana", password: "seven green lanterns" };
/** Its session, for all other tests. */
export const sessionFile = (): string => join(directory(), "session.json");

/** Refusals that a test provokes: the browser writes each into its console. */
type Refusals = { expect: (...statuses: number[]) => void };

type Fixtures = { refusals: Refusals; phone: boolean };

export const test = base.extend<Fixtures>({
  baseURL: async ({}, use) => use(new URL(printedAddress()).origin),
  storageState: async ({}, use) => use(sessionFile()),
  phone: async ({ isMobile }, use) => use(isMobile),
  // Anything that the page writes into the console as an error fails the test, a violated Content-Security-Policy included.
  refusals: [
    async ({ page }, use) => {
      const expected = new Set<number>();
      const found: string[] = [];
      page.on("pageerror", (error) => found.push(error.message));
      page.on("console", (message) => {
        if (message.type() !== "error") return;
        const status = /Failed to load resource: the server responded with a status of (\d+)/.exec(message.text());
        if (status && expected.has(Number(status[1]))) return;
        // The browser drops transfers when a container's link comes or goes; that the page tries again shows in the test.
        if (message.text().includes("net::ERR_NETWORK_CHANGED")) return;
        found.push(`${message.text()} ${message.location().url}`);
      });
      await use({
        expect: (...statuses) => {
          for (const status of statuses) expected.add(status);
        },
      });
      expect(found, "errors in the browser's console").toEqual([]);
    },
    { auto: true },
  ],
});

type PageName = "Dashboard" | "Containers" | "Images" | "Volumes" | "Compare" | "Settings";

/** Goes to a page by the navigation that this width has. */
export async function goTo(page: Page, name: PageName): Promise<void> {
  const navigation = page.getByRole("navigation", { name: "Main" });
  // A phone's bar has room for four pages; the rest is in a menu.
  const narrow = (page.viewportSize()?.width ?? 0) < 640;
  if (narrow && (name === "Compare" || name === "Settings")) {
    await navigation.getByRole("button", { name: "More" }).click();
    await page.getByRole("menuitem", { name }).click();
  } else {
    await navigation.getByRole("link", { name: new RegExp(`^${name}`) }).click();
  }
  await expect(page.getByRole("heading", { level: 1, name, exact: true })).toBeVisible();
}

/** Chooses a radio button; it turns when the address has changed, which `check` would not wait for. */
export async function choose(radio: Locator): Promise<void> {
  await radio.click();
  await expect(radio).toBeChecked();
}

/** Chooses what the switch at the top shows. */
export async function chooseEngine(page: Page, title: string): Promise<void> {
  await choose(page.getByRole("banner").getByRole("radio", { name: title }));
}

/** A row of a list, or its card on a phone. */
export function row(page: Page, name: string, phone: boolean): Locator {
  return page
    .getByRole("main")
    .getByRole(phone ? "listitem" : "row")
    .filter({ has: page.getByText(name, { exact: true }) })
    .filter({ has: page.getByRole("button", { name: /^Actions for / }) });
}

/** Opens the menu of a row and chooses from it. */
export async function act(page: Page, name: string, item: string): Promise<void> {
  await page.getByRole("button", { name: `Actions for ${name}`, exact: true }).click();
  await page.getByRole("menuitem", { name: item }).click();
}

/** The badge with the state in the head of a container's page. */
export function head(page: Page): Locator {
  return page.getByRole("main").locator("header").filter({ has: page.getByRole("heading", { level: 1 }) });
}

/** Goes to a tab of a container's page. */
export async function tab(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation", { name: /^Views of/ }).getByRole("link", { name, exact: true }).click();
}
