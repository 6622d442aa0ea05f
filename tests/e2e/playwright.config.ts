import { defineConfig } from "@playwright/test";

const desktop = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true };

// One worker: the tests share one server with two real engines. `first-run` makes the account that all others sign in with.
export default defineConfig({
  testDir: ".",
  testMatch: "*.e2e.ts",
  outputDir: "../../target/e2e",
  globalSetup: "./global-setup.ts",
  fullyParallel: false,
  workers: 1,
  // Chromium drops what it is loading when a container's link comes or goes; a fault of ours fails twice.
  retries: 1,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    browserName: "chromium",
    headless: true,
    ignoreHTTPSErrors: true,
    screenshot: "only-on-failure",
    trace: "retain-on-failure",
    colorScheme: "dark",
    launchOptions: {
      executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
      ],
    },
  },
  projects: [
    { name: "first-run", testMatch: "first-run.e2e.ts", use: desktop },
    {
      name: "desktop",
      testIgnore: ["first-run.e2e.ts", "screenshots.e2e.ts"],
      dependencies: ["first-run"],
      use: desktop,
    },
    {
      name: "phone",
      testIgnore: ["first-run.e2e.ts", "screenshots.e2e.ts"],
      dependencies: ["first-run"],
      use: phone,
    },
    // The pictures of README.md and docs/, made anew only on request: every machine draws its fonts a little differently.
    ...(process.env["UPDATE_SCREENSHOTS"] === "1"
      ? [
          {
            name: "screenshots",
            testMatch: "screenshots.e2e.ts",
            dependencies: ["first-run"],
            use: { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1 },
          },
        ]
      : []),
  ],
});
