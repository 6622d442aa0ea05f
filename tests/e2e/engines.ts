// The engines under test as the docker command sees them: the page is checked against it, never against itself.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export type Engine = { name: "docker" | "mini"; title: string };

export const DOCKER: Engine = { name: "docker", title: "Docker" };
export const MINI: Engine = { name: "mini", title: "Mini" };

/** Both engines; fewer only while working on one: `CONTAINEROS_E2E_ENGINES=docker`. */
export const ENGINES: readonly Engine[] = [DOCKER, MINI].filter(
  ({ name }) => process.env["CONTAINEROS_E2E_ENGINES"]?.split(",").includes(name) ?? true,
);

export const STARTER = "containeros/starter:latest";

function needed(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set: run \`tests/run browser\``);
  return value;
}

/** Where the server under test keeps its things. */
export const directory = (): string => needed("CONTAINEROS_E2E_DIR");

/** The address that the server printed, with the one-time token. */
export const printedAddress = (): string => needed("CONTAINEROS_E2E_URL");

/** A registry on loopback that holds the starter image. */
export const registry = (): string => needed("CONTAINEROS_TEST_REGISTRY");

function socketOf({ name }: Engine): string {
  return name === "docker" ? needed("CONTAINEROS_TEST_DOCKER") : `unix://${join(directory(), "run/mini.sock")}`;
}

/** Runs the docker command against an engine and returns its output. */
export function docker(engine: Engine, ...words: string[]): string {
  return execFileSync("docker", ["-H", socketOf(engine), ...words], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

/** Starts a container of the starter image in the background and returns its id. */
export function run(engine: Engine, name: string, flags: readonly string[], ...command: string[]): string {
  return docker(engine, "run", "-d", "--name", name, ...flags, STARTER, ...command);
}

/**
 * Runs a container that takes more memory than it may. dockerd loses the kernel's word for it now and then and calls
 * such an end an ordinary one (seen with 20.10); then once more.
 */
export function runOutOfMemory(engine: Engine, name: string, limit: string, amount: string): void {
  for (let tries = 0; tries < 5; tries += 1) {
    remove(engine, name);
    run(engine, name, ["-m", limit, "--memory-swap", limit], "lab", "mem", amount);
    docker(engine, "wait", name);
    if (inspect(engine, name)?.State.OOMKilled) return;
    if (engine.name === "mini") break;
  }
  throw new Error(`${engine.title} did not tell that ${name} was killed for lack of memory`);
}

/** Removes containers by name; those that do not exist are fine. */
export function remove(engine: Engine, ...names: string[]): void {
  const known = new Set(docker(engine, "ps", "-a", "--format", "{{.Names}}").split("\n"));
  const found = names.filter((name) => known.has(name));
  if (found.length > 0) docker(engine, "rm", "-f", "-v", ...found);
}

type Inspect = {
  State: { Status: string; Running: boolean; OOMKilled: boolean };
  Config: { Env: string[]; Cmd: string[] };
  HostConfig: {
    Memory: number;
    NanoCpus: number;
    PidsLimit: number | null;
    RestartPolicy: { Name: string };
  };
  Mounts: { Type: string; Source: string; Destination: string }[];
};

/** What the engine says of a container, or null when it does not know it. */
export function inspect(engine: Engine, name: string): Inspect | null {
  try {
    const [found] = JSON.parse(docker(engine, "container", "inspect", name)) as Inspect[];
    return found ?? null;
  } catch {
    return null;
  }
}
