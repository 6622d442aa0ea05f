import { expect, it } from 'vitest';

import { sparkPaths } from './sparkline-path.ts';

it('is aligned to the right and scaled to its highest value', () => {
  expect(sparkPaths([0, 10], 10, 12, 3).line).toBe('M5.0,11.0L10.0,1.0');
});

it('little values stay low below a floor', () => {
  expect(sparkPaths([0, 1], 10, 12, 2, undefined, 10).line).toBe('M0.0,11.0L10.0,10.0');
});

it('a hole splits line and area', () => {
  const { line, area } = sparkPaths([1, Number.NaN, 1], 10, 12, 3);
  expect(line.match(/M/g)).toHaveLength(2);
  expect(area.match(/Z/g)).toHaveLength(2);
});

it('values above the top do not leave the picture', () => {
  expect(sparkPaths([300], 10, 12, 1, 100).line).toBe('M0.0,1.0');
});
