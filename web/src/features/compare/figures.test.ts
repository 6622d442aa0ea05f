import { expect, it } from 'vitest';

import { verdictOf } from './figures.ts';

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
