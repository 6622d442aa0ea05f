import { expect, it } from 'vitest';

import { container } from '@/test-data.ts';

import { inState, matchesText } from './filter.ts';

it('finds by name, image, project, port, label and the start of the id, all words at once', () => {
  const one = container({
    name: 'web-1',
    project: 'shop',
    labels: { tier: 'front' },
    ports: [{ container_port: 80, host_port: 8080, host_ip: '0.0.0.0', protocol: 'tcp' }],
  });
  for (const text of ['web', 'SHOP', '8080', '80', 'c0ffee', 'label:tier', 'label:tier=front', 'shop web', '']) {
    expect(matchesText(one, text), text).toBe(true);
  }
  for (const text of ['db', '808', 'offee', 'label:tier=back', 'label:ti', 'shop db']) {
    expect(matchesText(one, text), text).toBe(false);
  }
});

it('a container that somebody stopped has not failed; one out of memory has', () => {
  const ended = (code: number, oom = false) => container({ state: 'exited', exit_code: code, oom_killed: oom });
  expect([0, 137, 143].map((code) => inState(ended(code), 'failed'))).toEqual([false, false, false]);
  expect(inState(ended(1), 'failed')).toBe(true);
  expect(inState(ended(137, true), 'failed')).toBe(true);
});

it('only what runs can be unhealthy', () => {
  expect(inState(container({ health: 'unhealthy' }), 'unhealthy')).toBe(true);
  expect(inState(container({ health: 'unhealthy', state: 'exited' }), 'unhealthy')).toBe(false);
});
