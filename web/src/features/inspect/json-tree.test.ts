import { expect, it } from 'vitest';

import { findPaths, flatten, leadsTo } from './json-tree.ts';

const root = { Config: { Env: ['A=1'], 'odd key': null }, Name: '/web' };

it('a tree becomes lines, folded branches one each', () => {
  const lines = flatten(root, (path) => path === '.Config');
  expect(lines.map(({ path, depth }) => `${String(depth)}${path}`)).toEqual([
    '0.Config',
    '1.Config.Env',
    '1.Config["odd key"]',
    '0.Name',
  ]);
});

it('search finds keys and values and opens the way to them', () => {
  const found = findPaths(root, 'a=1');
  expect(found).toEqual(['.Config.Env[0]']);
  expect(leadsTo('.Config', found)).toBe(true);
  expect(leadsTo('.Conf', found)).toBe(false);
  expect(leadsTo('.Name', found)).toBe(false);
});
