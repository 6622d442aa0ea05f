import { expect, it } from 'vitest';

import { parseSize, shortSize } from './units.ts';

it('sizes are read as docker reads them', () => {
  expect(parseSize('64m')).toBe(64 * 1024 ** 2);
  expect(parseSize('1.5g')).toBe(1.5 * 1024 ** 3);
  expect(parseSize('512 MiB')).toBe(512 * 1024 ** 2);
  expect(parseSize('100')).toBe(100);
  for (const text of ['', 'm', '-1m', '1x', '1e9', '9'.repeat(30)]) expect(parseSize(text)).toBeNull();
});

it('sizes are written short where that is exact', () => {
  expect(shortSize(64 * 1024 ** 2)).toBe('64m');
  expect(shortSize(1536)).toBe('1536');
  expect(shortSize(2048)).toBe('2k');
});
