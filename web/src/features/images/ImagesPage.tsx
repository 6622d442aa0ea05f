import { Download, Ellipsis, Eraser, Layers, Play, Trash2 } from 'lucide-react';
import { type ReactNode, useMemo, useState } from 'react';
import { Link, useNavigate } from 'react-router';

import type { ImageSummary } from '@/api/schema.gen.ts';
import { bytes, shortId } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { useListParams } from '@/lib/useListParams.ts';
import { present, unavailable, useEngineChoice } from '@/live/engine-choice.ts';
import { useEngines, useImages } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Chip } from '@/ui/Chip.tsx';
import { type Column, DataTable } from '@/ui/DataTable.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { EngineMark, engineName } from '@/ui/EngineMark.tsx';
import { Menu } from '@/ui/Menu.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { SearchField } from '@/ui/SearchField.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';
import { Ago } from '@/ui/Time.tsx';

import { imageName, pruneImages, removeImage } from './image-actions.ts';
import { t } from './messages.ts';
import { PullDialog } from './PullDialog.tsx';
import { PullJobs } from './PullJobs.tsx';

type Row = ImageSummary;

const DEFAULT_SORT = { column: 'tags', descending: false };
const rowKey = (row: Row): string => `${row.engine}/${row.id}`;

function matches(row: Row, text: string): boolean {
  const wanted = text.toLowerCase().trim();
  return (
    !wanted ||
    row.tags.some((tag) => tag.toLowerCase().includes(wanted)) ||
    row.id.replace('sha256:', '').startsWith(wanted)
  );
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'tags',
    header: t('colTags'),
    sort: (a, b) => imageName(a).localeCompare(imageName(b)),
    cell: (row) => <Tags row={row} />,
  },
  {
    id: 'id',
    header: t('colId'),
    width: '128px',
    from: 'lg',
    cell: (row) => <span className="mono text-subtle">{shortId(row.id)}</span>,
  },
  {
    id: 'engine',
    header: t('colEngine'),
    width: '96px',
    sort: (a, b) => a.engine.localeCompare(b.engine),
    cell: (row) => <EngineMark engine={row.engine} />,
  },
  {
    id: 'size',
    header: t('colSize'),
    width: '104px',
    align: 'right',
    sort: (a, b) => a.size_bytes - b.size_bytes,
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
    cell: (row) => <ImageMenu row={row} />,
  },
];

/** Images of the chosen engines: pull, use, remove. */
export function ImagesPage(): ReactNode {
  const { engines, choice } = useEngineChoice();
  const { items: known, ready: enginesReady } = useEngines();
  const { items, ready, error } = useImages(engines);
  const { get, set, sort, setSort } = useListParams(DEFAULT_SORT);
  const [pulling, setPulling] = useState(false);
  const text = get('q');
  const only = get('show');
  const rows = useMemo(
    () =>
      items.filter(
        (row) =>
          matches(row, text) &&
          (only !== 'unused' || row.used_by.length === 0) &&
          (only !== 'dangling' || row.tags.length === 0),
      ),
    [items, text, only],
  );
  const usable = known.filter(present);
  const shownEngines = known.filter(({ name }) => engines.includes(name));
  const pullButton = (
    <Button variant="primary" icon={<Download size={16} aria-hidden />} onClick={() => setPulling(true)}>
      {t('pull')}
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
              label={t('pruneMenu')}
              variant="secondary"
              items={shownEngines.flatMap((engine) => [
                {
                  label: t('pruneOn', { what: t('pruneDangling'), engine: engineName(engine.name) }),
                  disabledReason: unavailable(engine),
                  onSelect: () => pruneImages(engine.name, 'dangling'),
                },
                {
                  label: t('pruneOn', { what: t('pruneUnused'), engine: engineName(engine.name) }),
                  danger: true,
                  disabledReason: unavailable(engine),
                  onSelect: () => pruneImages(engine.name, 'unused'),
                },
              ])}
            >
              <Eraser size={14} aria-hidden />
              {t('pruneMenu')}
            </Menu>
            {pullButton}
          </>
        }
      />
      <PullJobs engines={engines} />
      <div className="mb-4 flex flex-wrap items-center gap-2">
        <SearchField
          label={t('filter')}
          placeholder={t('filterHint')}
          value={text}
          onChange={(value) => set('q', value)}
          className="w-75 max-sm:w-full"
        />
        <Chip pressed={only === 'unused'} onPress={() => set('show', only === 'unused' ? null : 'unused')}>
          {t('unused')} {items.filter((row) => row.used_by.length === 0).length}
        </Chip>
        <Chip pressed={only === 'dangling'} onPress={() => set('show', only === 'dangling' ? null : 'dangling')}>
          {t('dangling')} {items.filter((row) => row.tags.length === 0).length}
        </Chip>
      </div>
      {error && <ProblemBox title={t('title')} problem={{ detail: error }} />}
      {ready && enginesReady ? (
        <DataTable
          label={t('title')}
          rows={rows}
          columns={COLUMNS}
          rowKey={rowKey}
          rowName={imageName}
          sort={sort}
          onSort={setSort}
          card={(row) => <ImageCard row={row} />}
          empty={
            items.length === 0 ? (
              <EmptyState icon={<Layers size={32} aria-hidden />} title={t('empty')} action={pullButton}>
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
      {pulling && (
        <PullDialog
          engines={usable}
          preferred={choice === 'all' ? undefined : choice}
          onClose={() => setPulling(false)}
        />
      )}
    </>
  );
}

function Tags({ row }: { row: Row }): ReactNode {
  return (
    <span title={row.tags.join('\n')}>
      {row.tags.length > 0 ? (
        <span className="font-semibold">{row.tags[0]}</span>
      ) : (
        <span className="text-subtle">{t('noTag')}</span>
      )}
      {row.tags.length > 1 && <span className="text-subtle"> {t('moreTags', { count: row.tags.length - 1 })}</span>}
    </span>
  );
}

function UsedBy({ row }: { row: Row }): ReactNode {
  if (row.used_by.length === 0) return <span className="text-subtle">{t('nobody')}</span>;
  return (
    <Link
      to={paths.containers({ q: row.tags[0] ?? shortId(row.id) })}
      title={row.used_by.join('\n')}
      className="inline-block max-w-full truncate py-0.5 align-bottom hover:underline"
    >
      {row.used_by.join(', ')}
    </Link>
  );
}

function ImageMenu({ row }: { row: Row }): ReactNode {
  const navigate = useNavigate();
  const image = row.tags[0] ?? row.id;
  return (
    <Menu
      label={t('actionsOf', { name: imageName(row) })}
      square
      items={[
        {
          label: t('run'),
          icon: <Play size={14} aria-hidden />,
          onSelect: () => void navigate(paths.containerNew({ engine: row.engine, image })),
        },
        'separator',
        { label: t('remove'), icon: <Trash2 size={14} aria-hidden />, danger: true, onSelect: () => removeImage(row) },
      ]}
    >
      <Ellipsis size={16} aria-hidden />
    </Menu>
  );
}

function ImageCard({ row }: { row: Row }): ReactNode {
  return (
    <div className="flex items-start gap-2">
      <div className="min-w-0 flex-1">
        <p className="break-words">
          <Tags row={row} />
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
      <ImageMenu row={row} />
    </div>
  );
}
