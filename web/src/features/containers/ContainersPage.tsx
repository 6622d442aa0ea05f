import { Box, Plus, X } from 'lucide-react';
import { type ReactNode, useCallback, useEffect, useMemo, useState } from 'react';
import { Link, useNavigate } from 'react-router';

import type { ContainerAction, ContainerSummary } from '@/api/schema.gen.ts';
import { type BulkOutcome, disabledReason, useContainerActions } from '@/api/useContainerActions.ts';
import { paths } from '@/lib/paths.ts';
import { useListParams } from '@/lib/useListParams.ts';
import { useEngineChoice } from '@/live/engine-choice.ts';
import { statsFeed, useContainers, useEngines, useStatsFeeds } from '@/live/stores.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Button, buttonClass } from '@/ui/Button.tsx';
import { Chip } from '@/ui/Chip.tsx';
import { DataTable } from '@/ui/DataTable.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { IconButton } from '@/ui/IconButton.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { SearchField } from '@/ui/SearchField.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { BulkBar } from './BulkBar.tsx';
import { containerColumns } from './columns.tsx';
import { ContainerCard } from './ContainerCard.tsx';
import { FILTERS, inState, matchesText } from './filter.ts';
import { t } from './messages.ts';

type Row = ContainerSummary;

const DEFAULT_SORT = { column: 'name', descending: false };
const rowKey = (row: Row): string => `${row.engine}/${row.id}`;
const rowName = (row: Row): string => row.name;
const byProject = (row: Row): { key: string; label: string } | null =>
  row.project ? { key: row.project, label: row.project } : null;

export function ContainersPage(): ReactNode {
  const { engines } = useEngineChoice();
  const { ready: enginesReady } = useEngines();
  const { items, ready, error } = useContainers(engines);
  const { get, set, sort, setSort } = useListParams(DEFAULT_SORT);
  const [selection, setSelection] = useState<ReadonlySet<string>>(new Set());
  const [outcome, setOutcome] = useState<BulkOutcome | null>(null);
  const navigate = useNavigate();
  const actions = useContainerActions();
  useStatsFeeds(engines);

  const text = get('q');
  const state = get('state');
  const group = get('group') === 'project' ? byProject : undefined;
  const named = useMemo(() => items.filter((row) => matchesText(row, text)), [items, text]);
  const rows = useMemo(() => named.filter((row) => inState(row, state)), [named, state]);
  const columns = useMemo(() => containerColumns(actions), [actions]);

  // Switching the engine must not leave rows checked that are no longer shown.
  const key = engines.join(',');
  useEffect(() => setSelection(new Set()), [key]);
  useEffect(() => {
    const known = new Set(items.map((row) => row.id));
    if (ready) for (const engine of engines) statsFeed(engine).prune(known);
  }, [items, ready, engines]);

  const chosen = useMemo(() => items.filter((row) => selection.has(rowKey(row))), [items, selection]);
  const runAll = (action: ContainerAction): void => {
    setOutcome(null);
    actions.runAll(action, chosen, (result) => {
      setOutcome(result.refused.length > 0 ? result : null);
      // What was refused stays checked, so that it can be tried again.
      setSelection(new Set(result.refused.map(({ target }) => `${target.engine}/${target.id}`)));
    });
  };
  const open = useCallback((row: Row) => void navigate(paths.container(row.engine, row.id)), [navigate]);
  const rowKeys = useMemo(
    () => ({
      s: (row: Row) => actions.run(disabledReason('stop', row) ? 'start' : 'stop', row),
      r: (row: Row) => actions.run('restart', row),
      l: (row: Row) => void navigate(paths.container(row.engine, row.id, 'logs')),
      Delete: (row: Row) => actions.run('remove', row),
    }),
    [actions, navigate],
  );
  const clearFilter = (): void => void navigate(paths.containers({ engine: get('engine') }), { replace: true });

  const createLink = (
    <Link to={paths.containerNew()} className={buttonClass('primary')}>
      <Plus size={16} aria-hidden />
      {t('create')}
    </Link>
  );
  const empty =
    engines.length === 0 ? (
      <EmptyState icon={<Box size={32} aria-hidden />} title={t('noEngine')}>
        {t('noEngineBody')}
      </EmptyState>
    ) : items.length === 0 ? (
      <EmptyState icon={<Box size={32} aria-hidden />} title={t('empty')} action={createLink}>
        {t('emptyBody')}
      </EmptyState>
    ) : (
      <EmptyState title={t('filtered')} action={<Button onClick={clearFilter}>{t('clearFilter')}</Button>}>
        {t('filteredBody', { count: items.length })}
      </EmptyState>
    );

  return (
    <>
      <PageHeader
        title={t('title')}
        note={ready && enginesReady && t('on', { total: items.length, count: engines.length })}
        actions={createLink}
      />
      <div className="mb-4 flex flex-wrap items-center gap-2">
        <SearchField
          label={t('filter')}
          placeholder={t('filterHint')}
          value={text}
          onChange={(value) => set('q', value)}
          className="w-75 max-sm:w-full"
        />
        <div role="group" aria-label={t('states')} className="flex min-w-0 gap-2 overflow-x-auto py-1 max-sm:w-full">
          {FILTERS.map((filter) => {
            const count = named.filter((row) => inState(row, filter)).length;
            if (count === 0 && state !== filter) return null;
            return (
              <Chip
                key={filter}
                pressed={state === filter}
                onPress={() => set('state', state === filter ? null : filter)}
              >
                {filter} <span>{count}</span>
              </Chip>
            );
          })}
        </div>
        <div className="ml-auto max-sm:ml-0">
          <Chip pressed={group !== undefined} onPress={() => set('group', group ? null : 'project')}>
            {t('group')}
          </Chip>
        </div>
      </div>
      {error && <ProblemBox title={t('title')} problem={{ detail: error }} />}
      {outcome && <Refusals outcome={outcome} onDismiss={() => setOutcome(null)} />}
      {ready && enginesReady ? (
        <DataTable
          label={t('title')}
          rows={rows}
          columns={columns}
          rowKey={rowKey}
          rowName={rowName}
          sort={sort}
          onSort={setSort}
          onOpen={open}
          selection={selection}
          onSelection={setSelection}
          group={group}
          restLabel={t('noProject')}
          rowKeys={rowKeys}
          card={(row) => <ContainerCard container={row} actions={actions} />}
          empty={empty}
        />
      ) : (
        <Skeleton rows={8} />
      )}
      {chosen.length > 0 && (
        <BulkBar
          count={chosen.length}
          pending={actions.pending}
          onAction={runAll}
          onClear={() => setSelection(new Set())}
        />
      )}
    </>
  );
}

function Refusals({ outcome, onDismiss }: { outcome: BulkOutcome; onDismiss: () => void }): ReactNode {
  return (
    <div className="mb-4">
      <Banner
        kind="danger"
        live
        title={t('refused', { count: outcome.refused.length })}
        action={<IconButton label={t('dismiss')} icon={<X size={14} />} onClick={onDismiss} />}
      >
        <ul>
          {outcome.refused.map(({ target, result }) => (
            <li key={`${target.engine}/${target.id}`}>
              <strong className="font-semibold">{target.name}</strong>: {result.problem?.detail} {result.problem?.hint}
            </li>
          ))}
        </ul>
      </Banner>
    </div>
  );
}
