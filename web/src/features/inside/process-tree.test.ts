import { expect, it } from 'vitest';

import type { ProcessFact } from '@/api/schema.gen.ts';

import { processTree } from './process-tree.ts';

const process = (pid: number, parent: number): ProcessFact => ({
  pid,
  parent_pid: parent,
  command: '',
  state: 'sleeping',
  uid: 0,
  threads: 1,
  memory_bytes: 0,
});

it('children follow their parents; a shell from outside stands at the top', () => {
  const tree = processTree([process(20, 10), process(10, 1), process(21, 10), process(30, 5)]);
  expect(tree.map(({ process: { pid }, depth }) => `${String(depth)}:${String(pid)}`)).toEqual([
    '0:10',
    '1:20',
    '1:21',
    '0:30',
  ]);
});

it('a circle, as numbers that were used again can make one, ends', () => {
  expect(processTree([process(1, 2), process(2, 1)])).toHaveLength(2);
});
