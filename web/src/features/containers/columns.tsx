import { Link } from 'react-router';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import type { ContainerActions } from '@/api/useContainerActions.ts';
import { paths } from '@/lib/paths.ts';
import { statsFeed } from '@/live/stores.ts';
import type { Column } from '@/ui/DataTable.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { StateBadge, stateLook } from '@/ui/StateBadge.tsx';

import { CpuCell, MemoryCell, Ports, Uptime } from './cells.tsx';
import { ContainerMenu } from './ContainerMenu.tsx';
import { t } from './messages.ts';

type Row = ContainerSummary;

function stateWord(row: Row): string {
  return stateLook({ state: row.state, health: row.health, exitCode: row.exit_code, oomKilled: row.oom_killed }).word;
}
const text = (a: string, b: string): number => a.localeCompare(b);
const cpu = ({ engine, id }: Row): number => statsFeed(engine).of(id).last?.cpu_percent ?? -1;
const memory = ({ engine, id }: Row): number => statsFeed(engine).of(id).last?.memory_working_set_bytes ?? -1;
const age = (row: Row): number => Date.parse(row.started_at ?? row.created_at ?? '') || 0;

export function containerColumns(actions: ContainerActions): readonly Column<Row>[] {
  return [
    {
      id: 'state',
      header: t('colState'),
      width: '144px',
      sort: (a, b) => text(stateWord(a), stateWord(b)) || text(a.name, b.name),
      cell: (row) => (
        <span title={row.state_text}>
          <StateBadge state={row.state} health={row.health} exitCode={row.exit_code} oomKilled={row.oom_killed} />
        </span>
      ),
    },
    {
      id: 'name',
      header: t('colName'),
      sort: (a, b) => text(a.name, b.name),
      cell: (row) => (
        <>
          <Link to={paths.container(row.engine, row.id)} title={row.name} className="font-semibold hover:underline">
            {row.name}
          </Link>
          {/* Where the image has no column of its own. */}
          <span title={row.image} className="mono block truncate text-2xs/3 text-subtle xl:hidden">
            {row.image}
          </span>
        </>
      ),
    },
    {
      id: 'image',
      header: t('colImage'),
      from: 'xl',
      sort: (a, b) => text(a.image, b.image),
      cell: (row) => (
        <span title={row.image} className="mono text-muted">
          {row.image}
        </span>
      ),
    },
    {
      id: 'engine',
      header: t('colEngine'),
      width: '84px',
      sort: (a, b) => text(a.engine, b.engine),
      cell: (row) => <EngineMark engine={row.engine} />,
    },
    {
      id: 'cpu',
      header: t('colCpu'),
      width: '120px',
      live: true,
      sort: (a, b) => cpu(a) - cpu(b),
      cell: (row) => <CpuCell container={row} />,
    },
    {
      id: 'memory',
      header: t('colMemory'),
      width: '190px',
      live: true,
      sort: (a, b) => memory(a) - memory(b),
      cell: (row) => <MemoryCell container={row} />,
    },
    { id: 'ports', header: t('colPorts'), width: '116px', from: 'lg', cell: (row) => <Ports container={row} /> },
    {
      id: 'up',
      header: t('colUp'),
      width: '100px',
      align: 'right',
      from: 'md',
      sort: (a, b) => age(b) - age(a),
      cell: (row) => (
        <span className="text-muted">
          <Uptime container={row} />
        </span>
      ),
    },
    {
      id: 'actions',
      header: '',
      width: 'calc(var(--control) + 12px)',
      align: 'right',
      cell: (row) => <ContainerMenu container={row} actions={actions} />,
    },
  ];
}
