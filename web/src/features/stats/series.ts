import type { StatsPoint } from '@/api/schema.gen.ts';
import { bytes, number, percent, rate } from '@/lib/format.ts';

import { t } from './messages.ts';

export type SeriesSpec = {
  id: string;
  name: string;
  colour: string;
  value: (point: StatsPoint) => number | null;
};
export type ChartSpec = {
  id: string;
  title: string;
  format: (value: number) => string;
  /** What the numbers are, which decides where round ones are. */
  unit: 'percent' | 'bytes' | 'count';
  series: readonly SeriesSpec[];
  limit?: (point: StatsPoint) => number | null | undefined;
};

/** The charts of a container, each with its lines, unit and limit. */
export const CHARTS: readonly ChartSpec[] = [
  {
    id: 'cpu',
    title: t('cpu'),
    format: percent,
    unit: 'percent',
    series: [
      { id: 'cpu', name: t('cpuUsed'), colour: 'var(--series-1)', value: (point) => point.cpu_percent },
      {
        id: 'throttled',
        name: t('cpuThrottled'),
        colour: 'var(--series-3)',
        value: (point) => point.cpu_throttled_percent ?? null,
      },
    ],
    limit: (point) =>
      point.cpu_throttled_percent === null || point.cpu_throttled_percent === undefined
        ? null
        : point.cpu_limit_percent,
  },
  {
    id: 'memory',
    title: t('memory'),
    format: bytes,
    unit: 'bytes',
    series: [
      {
        id: 'memory',
        name: t('workingSet'),
        colour: 'var(--series-2)',
        value: (point) => point.memory_working_set_bytes,
      },
      { id: 'cache', name: t('cache'), colour: 'var(--series-8)', value: (point) => point.memory_cache_bytes },
    ],
    limit: (point) => point.memory_limit_bytes,
  },
  {
    id: 'network',
    title: t('network'),
    format: rate,
    unit: 'bytes',
    series: [
      {
        id: 'receive',
        name: t('receive'),
        colour: 'var(--series-4)',
        value: (point) => point.network_receive_bytes_per_s ?? null,
      },
      {
        id: 'transmit',
        name: t('transmit'),
        colour: 'var(--series-5)',
        value: (point) => point.network_transmit_bytes_per_s ?? null,
      },
    ],
  },
  {
    id: 'disk',
    title: t('disk'),
    format: rate,
    unit: 'bytes',
    series: [
      { id: 'read', name: t('read'), colour: 'var(--series-6)', value: (point) => point.block_read_bytes_per_s },
      { id: 'write', name: t('write'), colour: 'var(--series-3)', value: (point) => point.block_write_bytes_per_s },
    ],
  },
  {
    id: 'pids',
    title: t('processes'),
    format: (value) => number(value),
    unit: 'count',
    series: [{ id: 'pids', name: t('processes'), colour: 'var(--series-5)', value: (point) => point.pids }],
    limit: (point) => point.pids_limit,
  },
];

export type Digest = { now: number; mean: number; most: number };

/** Last, mean and greatest of a series, or null when it has no value. */
export function digest(points: readonly StatsPoint[], value: SeriesSpec['value']): Digest | null {
  const values = points.map(value).filter((one) => one !== null);
  const now = values.at(-1);
  if (now === undefined) return null;
  let most = now;
  let sum = 0;
  for (const one of values) {
    most = Math.max(most, one);
    sum += one;
  }
  return { now, mean: sum / values.length, most };
}

/** History with live samples behind it, at most `range` seconds long and without doubles. */
export function joined(
  history: readonly StatsPoint[],
  fresh: readonly StatsPoint[],
  rangeS: number,
): readonly StatsPoint[] {
  const last = history.at(-1)?.time_ms ?? 0;
  const all = [...history, ...fresh.filter((point) => point.time_ms > last)];
  const end = all.at(-1)?.time_ms ?? 0;
  return all.filter((point) => point.time_ms > end - rangeS * 1000);
}

const LINES = 4;
const ROUND = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500];

/** Round values from nothing up to at least `most`: powers of two for bytes, decimal steps for the rest. */
export function valueTicks(unit: ChartSpec['unit'], most: number): readonly number[] {
  let step: number;
  if (unit === 'bytes') {
    step = 256;
    while (step * LINES < most) step *= 2;
  } else {
    step = ROUND.find((one) => one * LINES >= most) ?? 1000 * Math.ceil(most / LINES / 1000);
  }
  // Fewer lines where fewer reach it: a container of two processes needs no line at four.
  const count = Math.max(1, Math.min(LINES, Math.ceil(most / step)));
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

const EVERY_S: Readonly<Record<number, number>> = { 300: 60, 3600: 600, 86_400: 14_400 };

/** Round moments of local time in a range that ends at `to`. */
export function timeTicks(to: number, rangeS: number): readonly number[] {
  const every = (EVERY_S[rangeS] ?? rangeS / 5) * 1000;
  const shift = new Date(to).getTimezoneOffset() * 60_000;
  const ticks: number[] = [];
  for (let at = Math.floor((to - shift) / every) * every + shift; at >= to - rangeS * 1000; at -= every) ticks.push(at);
  return ticks.toReversed();
}
