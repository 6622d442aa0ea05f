import { expect, it } from 'vitest';

import { Ring } from './ring.ts';

it('keeps the newest values in order', () => {
  const ring = new Ring(3);
  expect(ring.last()).toBeUndefined();
  for (const value of [1, 2, 3, 4]) ring.push(value);
  expect(ring.values()).toEqual([2, 3, 4]);
  expect(ring.last()).toBe(4);
  ring.clear();
  expect(ring.values()).toEqual([]);
});
