import { expect, it } from 'vitest';

import { messageOf } from './wire.ts';

it('takes whole frames and drops broken ones', () => {
  expect(messageOf('{"t":"delta","id":1,"seq":2,"data":{}}')).toMatchObject({ t: 'delta', id: 1, seq: 2 });
  expect(messageOf('{"t":"ping"}')).toEqual({ t: 'ping' });
  for (const text of ['', '{', 'null', '[]', '"t"', '{"t":5}', '{"t":"new"}', '{"t":"snap","id":1}', '{"t":"gap"}']) {
    expect(messageOf(text)).toBeNull();
  }
});
