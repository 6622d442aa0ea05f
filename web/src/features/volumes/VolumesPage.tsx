import { Database, Ellipsis, Eraser, Plus, Trash2 } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { Link } from 'react-router';

import type { VolumeSummary } from '@/api/schema.gen.ts';
import { bytes } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { useListParams } from '@/lib/useListParams.ts';
import { present, unavailable, useEngineChoice } from '@/live/engine-choice.ts';
import { useEngines, useVolumes } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Chip, Tag } from '@/ui/Chip.tsx';
import { type Column, DataTable } from '@/ui/DataTable.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { EngineMark, engineName } from '@/ui/EngineMark.tsx';
import { Menu } from '@/ui/Menu.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { SearchField } from '@/ui/SearchField.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';
import { Ago } from '@/ui/Time.tsx';

import { CreateVolumeDialog } from './CreateVolumeDialog.tsx';
import { t } from './messages.ts';
import { pruneVolumes, removeVolume } from './volume-actions.ts';

type Row = VolumeSummary;

const DEFAULT_SORT = { column: 'name', descending: false };
const rowKey = (row: Row): string => `${row.engine}/${row.name}`;
const rowName = (row: Row): string => row.name;

function matches(row: Row, text: string): boolean {
  const wanted = text.toLowerCase().trim();
  return (
    !wanted ||
    row.name.toLowerCase().includes(wanted) ||
    Object.entries(row.labels).some(([key, value]) => `${key}=${value}`.toLowerCase().includes(wanted))
  );
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'name',
    header: t('colName'),
    sort: (a, b) => a.name.localeCompare(b.name),
    cell: (row) => <Name row={row} />,
  },
  {
    id: 'engine',
    header: t('colEngine'),
    width: '96px',
    sort: (a, b) => a.engine.localeCompare(b.engine),
    cell: (row) => <EngineMark engine={row.engine} />,
  },
  {
    id: 'driver',
    header: t('colDriver'),
    width: '96px',
    from: 'lg',
    sort: (a, b) => a.driver.localeCompare(b.driver),
    cell: (row) => row.driver,
  },
  {
    id: 'size',
    header: t('colSize'),
    width: '104px',
    align: 'right',
    sort: (a, b) => (a.size_bytes ?? -1) - (b.size_bytes ?? -1),
    cell: (row) => bytes(row.size_bytes),
  },
  {
    id: 'used',
    header: t('colUsed'),
    from: 'md',
    sort: (a, b) => a.used_by.length - b.used_by.length,
    cell: (row) => <UsedBy row={row} />,
  },
  {
    id: 'age',
    header: t('colAge'),
    width: '120px',
    align: 'right',
    from: 'md',
    sort: (a, b) => Date.parse(b.created_at ?? '') - Date.parse(a.created_at ?? ''),
    cell: (row) => (
      <span className="text-muted">
        <Ago at={row.created_at} />
      </span>
    ),
  },
  {
    id: 'actions',
    header: '',
    width: 'calc(var(--control) + 12px)',
    align: 'right',
    cell: (row) => <VolumeMenu row={row} />,
  },
];

/** Volumes of the chosen engines: create, see who uses them, remove. */
export function VolumesPage(): ReactNode {
  const { engines, choice } = useEngineChoice();
  const { items: known, ready: enginesReady } = useEngines();
  const { items, ready, error } = useVolumes(engines);
  const { get, set, sort, setSort } = useListParams(DEFAULT_SORT);
  const [creating, setCreating] = useState(false);
  const text = get('q');
  const unused = get('show') === 'unused';
  const rows = useMemo(
    () => items.filter((row) => matches(row, text) && (!unused || row.used_by.length === 0)),
    [items, text, unused],
  );
  const usable = known.filter(present);
  const shownEngines = known.filter(({ name }) => engines.includes(name));
  const createButton = (
    <Button variant="primary" icon={<Plus size={16} aria-hidden />} onClick={() => setCreating(true)}>
      {t('create')}
    </Button>
  );
  const clear = (): void => {
    set('q', null);
    set('show', null);
  };
  return (
    <>
      <PageHeader
        title={t('title')}
        note={ready && enginesReady && t('note', { count: items.length })}
        actions={
          <>
            <Menu
              label={t('prune')}
              variant="secondary"
              items={shownEngines.map((engine) => ({
                label: t('pruneOn', { engine: engineName(engine.name) }),
                danger: true,
                disabledReason: unavailable(engine),
                onSelect: () => pruneVolumes(engine.name),
              }))}
            >
              <Eraser size={14} aria-hidden />
              {t('prune')}
            </Menu>
            {createButton}
          </>
        }
      />
      <div className="mb-4 flex flex-wrap items-center gap-2">
        <SearchField
          label={t('filter')}
          placeholder={t('filterHint')}
          value={text}
          onChange={(value) => set('q', value)}
          className="w-75 max-sm:w-full"
        />
        <Chip pressed={unused} onPress={() => set('show', unused ? null : 'unused')}>
          {t('unused')} {items.filter((row) => row.used_by.length === 0).length}
        </Chip>
      </div>
      {error && <ProblemBox title={t('title')} problem={{ detail: error }} />}
      {ready && enginesReady ? (
        <DataTable
          label={t('title')}
          rows={rows}
          columns={COLUMNS}
          rowKey={rowKey}
          rowName={rowName}
          sort={sort}
          onSort={setSort}
          card={(row) => <VolumeCard row={row} />}
          empty={
            items.length === 0 ? (
              <EmptyState icon={<Database size={32} aria-hidden />} title={t('empty')} action={createButton}>
                {t('emptyBody')}
              </EmptyState>
            ) : (
              <EmptyState title={t('filtered')} action={<Button onClick={clear}>{t('clear')}</Button>} />
            )
          }
        />
      ) : (
        <Skeleton rows={6} />
      )}
      {creating && (
        <CreateVolumeDialog
          engines={usable}
          preferred={choice === 'all' ? undefined : choice}
          onClose={() => setCreating(false)}
        />
      )}
    </>
  );
}

function Name({ row }: { row: Row }): ReactNode {
  return (
    <span title={row.mount_point}>
      <span className={row.anonymous ? 'mono text-muted' : 'font-semibold'}>{row.name}</span>{' '}
      {row.anonymous && <Tag>{t('anonymous')}</Tag>}
    </span>
  );
}

function UsedBy({ row }: { row: Row }): ReactNode {
  if (row.used_by.length === 0) return <span className="text-subtle">{t('nobody')}</span>;
  return (
    <span title={row.used_by.join('\n')}>
      {row.used_by.map((name, index) => (
        <span key={name}>
          {index > 0 && ', '}
          <Link to={paths.containers({ q: name })} className="inline-block py-0.5 hover:underline">
            {name}
          </Link>
        </span>
      ))}
    </span>
  );
}

function VolumeMenu({ row }: { row: Row }): ReactNode {
  return (
    <Menu
      label={t('actionsOf', { name: row.name })}
      square
      items={[
        {
          label: t('remove'),
          icon: <Trash2 size={14} aria-hidden />,
          danger: true,
          disabledReason: row.used_by.length > 0 && t('inUse'),
          onSelect: () => removeVolume(row),
        },
      ]}
    >
      <Ellipsis size={16} aria-hidden />
    </Menu>
  );
}

function VolumeCard({ row }: { row: Row }): ReactNode {
  return (
    <div className="flex items-start gap-2">
      <div className="min-w-0 flex-1">
        <p className="break-all">
          <Name row={row} />
        </p>
        <p className="flex flex-wrap gap-x-3 text-muted">
          <EngineMark engine={row.engine} />
          {bytes(row.size_bytes)}
          <Ago at={row.created_at} />
        </p>
        <p className="truncate">
          <UsedBy row={row} />
        </p>
      </div>
      <VolumeMenu row={row} />
    </div>
  );
}
