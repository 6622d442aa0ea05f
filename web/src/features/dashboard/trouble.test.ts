import { expect, it } from 'vitest';

import type { EngineInfo } from '@/api/schema.gen.ts';
import { container } from '@/test-data.ts';

import { troubles } from './trouble.ts';

it('the worst comes first, and what is well not at all', () => {
  const engine = { name: 'mini', state: 'unreachable' } as EngineInfo; // oxlint-disable-line typescript/no-unsafe-type-assertion
  const found = troubles(
    [
      container({ id: 'well' }),
      container({ id: 'stopped', state: 'exited', exit_code: 143 }),
      container({ id: 'bad', state: 'exited', exit_code: 1 }),
      container({ id: 'oom', state: 'exited', exit_code: 137, oom_killed: true }),
      container({ id: 'loop', restart_count: 5 }),
      container({ id: 'once', restart_count: 1 }),
    ],
    [engine],
    null,
  );
  expect(found.map(({ key }) => key)).toEqual(['mini', 'docker/loop', 'docker/oom', 'docker/bad']);
});
