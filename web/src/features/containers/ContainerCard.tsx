import type { ReactNode } from 'react';
import { Link } from 'react-router';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import type { ContainerActions } from '@/api/useContainerActions.ts';
import { paths } from '@/lib/paths.ts';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { StateBadge } from '@/ui/StateBadge.tsx';

import { CpuCell, MemoryCell, Ports, Uptime } from './cells.tsx';
import { ContainerMenu } from './ContainerMenu.tsx';
import { t } from './messages.ts';

/** The phone's form of a row. */
export function ContainerCard({
  container,
  actions,
}: {
  container: ContainerSummary;
  actions: ContainerActions;
}): ReactNode {
  return (
    <div className="flex flex-col gap-1">
      <div className="flex items-start gap-2">
        <div className="min-w-0 flex-1">
          <Link
            to={paths.container(container.engine, container.id)}
            className="font-semibold break-words hover:underline"
          >
            {container.name}
          </Link>
          <p className="mono truncate text-subtle">{container.image}</p>
        </div>
        <ContainerMenu container={container} actions={actions} />
      </div>
      <div className="flex flex-wrap gap-x-4 gap-y-1">
        <StateBadge
          state={container.state}
          health={container.health}
          exitCode={container.exit_code}
          oomKilled={container.oom_killed}
        />
        <EngineMark engine={container.engine} />
        <span className="text-muted">
          <Uptime container={container} />
        </span>
      </div>
      <dl className="grid grid-cols-[auto_auto_auto_1fr] gap-x-2 text-xs/5 whitespace-nowrap">
        <dt className="text-subtle">{t('colCpu')}</dt>
        <dd>
          <CpuCell container={container} />
        </dd>
        <dt className="pl-1 text-subtle">{t('colMemory')}</dt>
        <dd>
          <MemoryCell container={container} />
        </dd>
      </dl>
      <Ports container={container} />
    </div>
  );
}
