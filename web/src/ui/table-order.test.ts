import { expect, it } from 'vitest';

import { groupRows, keysBetween, sortRows } from './table-order.ts';

const columns = [{ id: 'n', sort: (a: { n: number }, b: { n: number }) => a.n - b.n }, { id: 'fixed' }];
const rows = [
  { n: 2, id: 'a' },
  { n: 1, id: 'b' },
  { n: 2, id: 'c' },
];

it('sorting is stable in both directions and ignores columns without an order', () => {
  const ids = (sorted: readonly { id: string }[]): string => sorted.map((row) => row.id).join('');
  expect(ids(sortRows(rows, columns, { column: 'n', descending: false }))).toBe('bac');
  expect(ids(sortRows(rows, columns, { column: 'n', descending: true }))).toBe('acb');
  expect(sortRows(rows, columns, { column: 'fixed', descending: false })).toBe(rows);
});

it('groups come by name, the rest last, and lines count on over the headings', () => {
  const lines = groupRows(rows, (row) => (row.n === 1 ? { key: 'z', label: 'z' } : null), 'rest');
  expect(
    lines.map((line) => (line.kind === 'group' ? `${line.group.label}:${String(line.count)}` : line.index)),
  ).toEqual(['z:1', 0, 'rest:2', 1, 2]);
});

it('a range holds both ends, whichever was first', () => {
  expect(keysBetween(['a', 'b', 'c', 'd'], 'c', 'b')).toEqual(['b', 'c']);
  expect(keysBetween(['a', 'b'], 'gone', 'b')).toEqual(['b']);
});
