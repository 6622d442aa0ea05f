import type { ContainerSummary } from './schema.gen.ts';

// 137 and 143 are how SIGKILL and SIGTERM look: without an out-of-memory kill, somebody stopped it.
const STOPPED: ReadonlySet<number> = new Set([0, 137, 143]);

/** It ended by itself in a way that it should not have. */
export function hasFailed({
  state,
  exit_code: exitCode,
  oom_killed: oomKilled,
}: Pick<ContainerSummary, 'state' | 'exit_code' | 'oom_killed'>): boolean {
  return state === 'dead' || (state === 'exited' && (oomKilled || !STOPPED.has(exitCode ?? 0)));
}
