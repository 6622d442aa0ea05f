import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const repository = new URL("../..", import.meta.url).pathname;

function fixture(...words: string[]): string {
  return execFileSync(join(repository, "tests/fixture/containeros"), words, {
    encoding: "utf8",
  }).trim();
}

/** Starts the whole product on the private dockerd that `tests/run` made; ends it with everything it made. */
export default function globalSetup(): () => void {
  const docker = process.env["CONTAINEROS_TEST_DOCKER"];
  if (docker === undefined) {
    throw new Error("CONTAINEROS_TEST_DOCKER is not set: run `tests/run browser`, which starts the engines");
  }
  const directory = mkdtempSync(join(tmpdir(), "cos-e2e-"));
  process.env["CONTAINEROS_E2E_DIR"] = directory;
  const end = (): void => {
    fixture("down", directory);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    process.env["CONTAINEROS_E2E_URL"] = fixture("serve", directory, "--docker", docker);
  } catch (error) {
    // Playwright calls the returned function only when there is one.
    end();
    throw error;
  }
  return end;
}
