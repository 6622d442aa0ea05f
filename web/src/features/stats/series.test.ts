import { expect, it } from 'vitest';

import { point } from '@/test-data.ts';

import { digest, joined, timeTicks, valueTicks } from './series.ts';

it('live samples follow the history without doubles and within the range', () => {
  const all = joined([point(1), point(2)], [point(2), point(3)], 2);
  expect(all.map(({ time_ms: time }) => time)).toEqual([2000, 3000]);
});

it('a series is told by its last, mean and greatest value', () => {
  const points = [4, 0, 2].map((cpu, index) => point(index, { cpu_percent: cpu }));
  expect(digest(points, ({ cpu_percent: cpu }) => cpu)).toEqual({ now: 2, mean: 2, most: 4 });
  expect(digest(points, () => null)).toBeNull();
});

it('axes end at round values above the greatest', () => {
  expect(valueTicks('percent', 98)).toEqual([0, 25, 50, 75, 100]);
  expect(valueTicks('percent', 30)).toEqual([0, 10, 20, 30]);
  expect(valueTicks('bytes', 400 * 1024)).toEqual([0, 128, 256, 384, 512].map((kib) => kib * 1024));
  expect(valueTicks('bytes', 0)).toEqual([0, 256]);
  expect(valueTicks('count', 2)).toEqual([0, 1, 2]);
  for (const most of [1, 7, 99, 1234, 98_765]) expect(valueTicks('count', most).at(-1)).toBeGreaterThanOrEqual(most);
});

it('time is marked at round moments inside the range', () => {
  const to = Date.parse('2026-11-27T12:03:30Z');
  const ticks = timeTicks(to, 300);
  expect(ticks).toHaveLength(5);
  expect(ticks.every((tick) => tick % 60_000 === 0 && tick <= to && tick >= to - 300_000)).toBe(true);
});
