import { hasFailed } from '@/api/container-state.ts';
import type { ContainerSummary, EngineInfo, HostFigures } from '@/api/schema.gen.ts';

export type Trouble =
  | { kind: 'container'; key: string; severity: number; container: ContainerSummary }
  | { kind: 'disk'; key: string; severity: number; mount: string; percent: number; freeBytes: number }
  | { kind: 'engine'; key: string; severity: number; engine: EngineInfo };

const DISK_FULL_PERCENT = 85;
/** Fewer restarts than this may be a host's reboot; more is a loop. */
const LOOP_RESTARTS = 3;

function severityOf(container: ContainerSummary): number {
  if (container.state === 'restarting' || (container.state === 'running' && container.restart_count >= LOOP_RESTARTS))
    return 3;
  if (container.state === 'running' && container.health === 'unhealthy') return 3;
  if (hasFailed(container)) return container.oom_killed ? 2 : 1;
  return 0;
}

/** What someone should look at, the worst first. */
export function troubles(
  containers: readonly ContainerSummary[],
  engines: readonly EngineInfo[],
  host: HostFigures | null,
): readonly Trouble[] {
  const found: Trouble[] = [];
  for (const engine of engines)
    if (engine.state === 'unreachable') found.push({ kind: 'engine', key: engine.name, severity: 4, engine });
  for (const disk of host?.disks ?? []) {
    const percent = disk.total_bytes > 0 ? (disk.used_bytes / (disk.used_bytes + disk.available_bytes)) * 100 : 0;
    if (percent > DISK_FULL_PERCENT) {
      found.push({
        kind: 'disk',
        key: disk.mount_point,
        severity: 3,
        mount: disk.mount_point,
        percent,
        freeBytes: disk.available_bytes,
      });
    }
  }
  for (const container of containers) {
    const severity = severityOf(container);
    if (severity > 0)
      found.push({ kind: 'container', key: `${container.engine}/${container.id}`, severity, container });
  }
  return found.toSorted((a, b) => b.severity - a.severity || a.key.localeCompare(b.key));
}
