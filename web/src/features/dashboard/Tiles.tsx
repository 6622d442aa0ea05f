import { clsx } from 'clsx';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { hasFailed } from '@/api/container-state.ts';
import type { ContainerSummary } from '@/api/schema.gen.ts';
import { number } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { engineName } from '@/ui/EngineMark.tsx';

import { t } from './messages.ts';

/** Four counts; each leads to the list of what it counts. */
export function Tiles({ containers }: { containers: readonly ContainerSummary[] }): ReactNode {
  const running = containers.filter((one) => one.state === 'running');
  const unhealthy = running.filter((one) => one.health === 'unhealthy');
  const failed = containers.filter(hasFailed);
  const restarting = containers.filter((one) => one.state === 'restarting');
  const perEngine = [...Map.groupBy(running, (one) => one.engine)]
    .map(([engine, list]) => t('perEngine', { count: list.length, engine: engineName(engine) }))
    .join(' · ');
  const names = (list: readonly ContainerSummary[]): string =>
    list
      .slice(0, 3)
      .map((one) => one.name)
      .join(', ') || t('none');
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Tile title={t('running')} count={running.length} note={perEngine || t('none')} to="running" colour="text-ok" />
      <Tile
        title={t('unhealthy')}
        count={unhealthy.length}
        note={names(unhealthy)}
        to="unhealthy"
        colour="text-danger"
      />
      <Tile title={t('failed')} count={failed.length} note={names(failed)} to="failed" colour="text-warn" />
      <Tile
        title={t('restarting')}
        count={restarting.length}
        note={names(restarting)}
        to="restarting"
        colour="text-warn"
      />
    </div>
  );
}

function Tile({
  title,
  count,
  note,
  to,
  colour,
}: {
  title: string;
  count: number;
  note: string;
  to: string;
  colour: string;
}): ReactNode {
  return (
    <Link
      to={paths.containers({ state: to })}
      className="flex min-w-0 flex-col rounded-card border border-line bg-surface px-4 py-3 hover:border-line-strong"
    >
      <span className="text-muted">{title}</span>
      <span className={clsx('text-2xl font-semibold', count > 0 ? colour : 'text-fg')}>{number(count)}</span>
      <span className="truncate text-xs text-subtle">{note}</span>
    </Link>
  );
}
