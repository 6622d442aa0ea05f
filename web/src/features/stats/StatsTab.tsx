import type { ReactNode } from 'react';
import { useParams, useSearchParams } from 'react-router';

import { problemFrom } from '@/api/errors.ts';
import { useContainer } from '@/api/useContainer.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Chip } from '@/ui/Chip.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { t } from './messages.ts';
import { CHARTS } from './series.ts';
import { StatsChart } from './StatsChart.tsx';
import { StatsTable } from './StatsTable.tsx';
import { useStats } from './useStats.ts';

const RANGES = ['300', '3600', '86400'] as const;

/** The figures of one container over time. */
export function StatsTab(): ReactNode {
  const { engine = '', id = '' } = useParams();
  const [search, setSearch] = useSearchParams();
  const { summary } = useContainer(engine, id);
  const range = RANGES.find((one) => one === search.get('range')) ?? '300';
  const table = search.get('view') === 'table';
  const { points, source, ready, error, reload } = useStats(engine, summary?.id ?? id, Number(range));
  const set = (key: string, value: string | null): void => {
    setSearch(
      (before) => {
        const after = new URLSearchParams(before);
        if (value) after.set(key, value);
        else after.delete(key);
        return after;
      },
      { replace: true },
    );
  };
  const to = points.at(-1)?.time_ms ?? 0;
  const runs = summary?.state === 'running' || summary?.state === 'paused';
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-3">
        <RadioGroup
          label={t('range')}
          value={range}
          onChange={(value) => set('range', value)}
          options={RANGES.map((value) => ({ value, label: t(`range_${value}`) }))}
        />
        <Chip pressed={table} onPress={() => set('view', table ? null : 'table')}>
          {t('table')}
        </Chip>
        {source && (
          <span className="text-xs text-subtle">{source === 'cgroup' ? t('sourceCgroup') : t('sourceEngine')}</span>
        )}
      </div>
      {summary && !runs && points.length > 0 && <Banner>{t('notRunning')}</Banner>}
      {error && <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} onRetry={reload} />}
      {!ready && !error && <Skeleton rows={3} rowClass="h-44" />}
      {ready && points.length === 0 && <EmptyState title={t('none')} />}
      {points.length > 0 &&
        (table ? (
          <StatsTable points={points} />
        ) : (
          <div className="grid gap-3 xl:grid-cols-2">
            {CHARTS.map((spec) => (
              <StatsChart key={spec.id} spec={spec} points={points} rangeS={Number(range)} to={to} />
            ))}
          </div>
        ))}
    </div>
  );
}
