import type { ProcessFact } from '@/api/schema.gen.ts';

export type Branch = { process: ProcessFact; depth: number };

/** Processes with parents before children. One whose parent is outside (a shell by exec) stands at the top. */
export function processTree(processes: readonly ProcessFact[]): readonly Branch[] {
  const children = new Map<number, ProcessFact[]>();
  for (const process of processes)
    children.set(process.parent_pid, [...(children.get(process.parent_pid) ?? []), process]);
  const known = new Set(processes.map((process) => process.pid));
  const found: Branch[] = [];
  const seen = new Set<number>();
  const visit = (process: ProcessFact, depth: number): void => {
    if (seen.has(process.pid)) return;
    seen.add(process.pid);
    found.push({ process, depth });
    for (const child of children.get(process.pid) ?? []) visit(child, depth + 1);
  };
  for (const process of processes) if (!known.has(process.parent_pid)) visit(process, 0);
  for (const process of processes) visit(process, 0);
  return found;
}
