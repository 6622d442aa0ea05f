// @vitest-environment jsdom
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import type { Handlers } from './socket.ts';
import { LiveSocket } from './socket.ts';
import { TopicList } from './topic-list.ts';

type Item = { id: string; name: string };
let handlers: Handlers;
const close = vi.fn<() => void>();
let list: TopicList<Item>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'requestAnimationFrame'] });
  const socket = new LiveSocket({ connect: () => new WebSocket('ws://localhost'), onUnauthenticated: () => undefined });
  close.mockReset();
  vi.spyOn(socket, 'subscribe').mockImplementation((_, given) => {
    handlers = given;
    return { credit: () => undefined, close };
  });
  list = new TopicList<Item>(socket, { topic: 'engines', args: {} }, (item) => item.id);
});
afterEach(() => vi.useRealTimers());

const frame = (): void => void vi.advanceTimersByTime(20);

it('tells its readers once per frame, however much came', () => {
  const reader = vi.fn<() => void>();
  list.subscribe(reader);
  handlers.onSnap({ items: [{ id: 'a', name: 'a' }] });
  handlers.onDelta({ upsert: [{ id: 'b', name: 'b' }], remove: [] });
  handlers.onDelta({ upsert: [{ id: 'b', name: 'new' }], remove: ['a'] });
  expect(list.get().ready).toBe(false);
  frame();
  expect(reader).toHaveBeenCalledOnce();
  expect(list.get()).toMatchObject({ ready: true, items: [{ id: 'b', name: 'new' }] });
});

it('lets the topic go a moment after its last reader, and not when one comes back', () => {
  const end = list.subscribe(() => undefined);
  handlers.onSnap({ items: [{ id: 'a', name: 'a' }] });
  frame();
  end();
  const again = list.subscribe(() => undefined);
  vi.advanceTimersByTime(1000);
  expect(close).not.toHaveBeenCalled();
  again();
  vi.advanceTimersByTime(1000);
  expect(close).toHaveBeenCalledOnce();
  expect(list.get()).toMatchObject({ ready: false, items: [] });
});

it('keeps showing what it knew when the server ends the topic, but says that it is old', () => {
  list.subscribe(() => undefined);
  handlers.onSnap({ items: [{ id: 'a', name: 'a' }] });
  handlers.onEnd?.('engine is down');
  frame();
  expect(list.get()).toMatchObject({ stale: true, error: 'engine is down', items: [{ id: 'a', name: 'a' }] });
});
