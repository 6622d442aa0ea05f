import type { ReactNode } from 'react';

import type { StatsPoint } from '@/api/schema.gen.ts';
import { timeOfDay, utc } from '@/lib/format.ts';

import { t } from './messages.ts';
import { CHARTS } from './series.ts';

/** The same figures as numbers, newest first. */
export function StatsTable({ points }: { points: readonly StatsPoint[] }): ReactNode {
  const columns = CHARTS.flatMap(({ title, format, series }) =>
    series
      .filter(({ value }) => points.some((point) => value(point) !== null))
      .map(({ id, name, value }) => ({ id, head: name === title ? title : `${title}, ${name}`, value, format })),
  );
  return (
    // A region that scrolls sideways must be reachable by keyboard.
    <div
      tabIndex={0}
      role="region"
      aria-label={t('table')}
      className="max-h-[70dvh] overflow-auto rounded-card border border-line bg-surface"
    >
      <table className="w-full text-right whitespace-nowrap">
        <thead className="sticky top-0 bg-surface text-xs text-subtle">
          <tr>
            <th scope="col" className="px-3 py-2 text-left font-medium">
              {t('time')}
            </th>
            {columns.map(({ id, head }) => (
              <th key={id} scope="col" className="px-3 py-2 font-medium">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {points.toReversed().map((point) => (
            <tr key={point.time_ms} className="border-t border-line">
              <th scope="row" title={utc(point.time_ms)} className="px-3 py-1 text-left font-normal text-muted">
                {timeOfDay(point.time_ms)}
              </th>
              {columns.map(({ id, value, format }) => {
                const one = value(point);
                return (
                  <td key={id} className="px-3 py-1">
                    {one === null ? '–' : format(one)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
