import { expect, it } from 'vitest';

import { logTicks, verdictOf } from './figures.ts';

const side = (engine: string, minimum: number, median: number, p95: number) => ({
  engine,
  spread: { minimum, median, p95, maximum: p95 },
});

it('the lesser median wins when the spreads are apart', () => {
  expect(verdictOf([side('docker', 200, 230, 260), side('mini', 8, 10, 14)])).toEqual({ better: 'mini', factor: 23 });
});

it('what lies within the noise is not told apart', () => {
  expect(verdictOf([side('docker', 9, 11, 14), side('mini', 8, 10, 13)])).toBeNull();
  expect(verdictOf([side('docker', 10.4, 10.5, 10.6), side('mini', 9.9, 10, 10.1)])).toBeNull();
  expect(verdictOf([side('mini', 1, 1, 1)])).toBeNull();
});

it('a logarithmic axis has a handful of round values', () => {
  expect(logTicks(45, 900, 10)).toEqual([50, 100, 200, 500]);
  expect(logTicks(61, 99, 10)).toEqual([70, 80, 90]);
  expect(logTicks(0.8, 2000, 10).length).toBeLessThan(7);
  expect(logTicks(200 * 1024, 3 * 1024 ** 2, 2)).toEqual([256, 512, 1024, 2048].map((kib) => kib * 1024));
});
