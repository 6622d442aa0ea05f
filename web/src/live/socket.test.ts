// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Topic } from '@/api/schema.gen.ts';

import { type Handlers, LiveSocket, type SocketLike } from './socket.ts';

class FakeSocket implements SocketLike {
  readyState: WebSocket['readyState'] = WebSocket.OPEN;
  onopen: SocketLike['onopen'] = null;
  onmessage: SocketLike['onmessage'] = null;
  onclose: SocketLike['onclose'] = null;
  readonly sent: Record<string, unknown>[] = [];

  send(data: string): void {
    this.sent.push(JSON.parse(data) as Record<string, unknown>); // oxlint-disable-line typescript/no-unsafe-type-assertion
  }
  close(): void {
    this.readyState = WebSocket.CLOSED;
  }
  say(message: object): void {
    this.onmessage?.(new MessageEvent('message', { data: JSON.stringify(message) }));
  }
  hello(version = '1'): void {
    this.say({ t: 'hello', v: 1, server_version: version, epoch: 'e', limits: {} });
  }
  drop(code = 1006): void {
    this.readyState = WebSocket.CLOSED;
    this.onclose?.(new CloseEvent('close', { code }));
  }
}

const topic = (): Topic => ({ topic: 'engines', args: {} });
let sockets: FakeSocket[] = [];
let live: LiveSocket;
const unauthenticated = vi.fn<() => void>();
const last = (): FakeSocket => {
  const socket = sockets.at(-1);
  if (!socket) throw new Error('no socket was opened');
  return socket;
};
const handlers = () => ({
  onSnap: vi.fn<Handlers['onSnap']>(),
  onDelta: vi.fn<Handlers['onDelta']>(),
  onLost: vi.fn<() => void>(),
  onEnd: vi.fn<(reason: string) => void>(),
});

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  unauthenticated.mockReset();
  live = new LiveSocket({
    connect: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    onUnauthenticated: unauthenticated,
    random: () => 1,
  });
  live.open();
});
afterEach(() => {
  live.dispose();
  vi.useRealTimers();
});

describe('a subscription', () => {
  it('is asked for once the server has said hello, and told snapshot and deltas in order', () => {
    const got = handlers();
    live.subscribe(topic, got);
    expect(last().sent).toEqual([]);
    last().hello();
    expect(last().sent).toEqual([{ op: 'sub', id: 1, topic: 'engines', args: {} }]);
    last().say({ t: 'snap', id: 1, epoch: 'e', seq: 4, data: 'all' });
    last().say({ t: 'delta', id: 1, seq: 5, data: 'more' });
    last().say({ t: 'delta', id: 1, seq: 5, data: 'twice' });
    expect(got.onSnap).toHaveBeenCalledWith('all');
    expect(got.onDelta.mock.calls).toEqual([['more']]);
  });

  it('starts over under a new id when a frame is missing', () => {
    const got = handlers();
    live.subscribe(topic, got);
    last().hello();
    last().say({ t: 'snap', id: 1, epoch: 'e', seq: 4, data: 'all' });
    last().say({ t: 'delta', id: 1, seq: 7, data: 'late' });
    expect(got.onDelta).not.toHaveBeenCalled();
    expect(got.onLost).toHaveBeenCalledOnce();
    expect(last().sent.slice(1)).toEqual([
      { op: 'unsub', id: 1 },
      { op: 'sub', id: 2, topic: 'engines', args: {} },
    ]);
    last().say({ t: 'delta', id: 1, seq: 8, data: 'still under way' });
    expect(got.onDelta).not.toHaveBeenCalled();
  });

  it('resumes where it was after a lost connection', () => {
    live.subscribe(topic, handlers());
    last().hello();
    last().say({ t: 'snap', id: 1, epoch: 'e', seq: 4, data: '' });
    last().drop();
    expect(live.connection.getState().state).toBe('reconnecting');
    vi.advanceTimersByTime(500);
    expect(sockets).toHaveLength(2);
    last().hello();
    expect(last().sent).toEqual([{ op: 'sub', id: 1, topic: 'engines', args: {}, from: { epoch: 'e', seq: 4 } }]);
  });

  it('that ended or was closed is not asked for again', () => {
    const ended = handlers();
    live.subscribe(topic, ended);
    const closed = live.subscribe(topic, handlers());
    last().hello();
    last().say({ t: 'end', id: 1, reason: 'gone' });
    closed.close();
    last().drop();
    vi.advanceTimersByTime(500);
    last().hello();
    expect(ended.onEnd).toHaveBeenCalledWith('gone');
    expect(last().sent).toEqual([]);
  });

  it('survives frames that are no frames', () => {
    const got = handlers();
    live.subscribe(topic, got);
    last().hello();
    for (const text of ['', '{"t":"delta"}', '[1', 'null'])
      last().onmessage?.(new MessageEvent('message', { data: text }));
    last().say({ t: 'snap', id: 99, epoch: 'e', seq: 1, data: 'for nobody' });
    last().say({ t: 'snap', id: 1, epoch: 'e', seq: 1, data: 'mine' });
    expect(got.onSnap.mock.calls).toEqual([['mine']]);
  });
});

describe('the connection', () => {
  it('waits twice as long after each failure, and at once no longer after the network came back', () => {
    for (const wait of [500, 1000, 2000]) {
      const before = sockets.length;
      last().drop();
      vi.advanceTimersByTime(wait - 1);
      expect(sockets).toHaveLength(before);
      vi.advanceTimersByTime(1);
      expect(sockets).toHaveLength(before + 1);
    }
    last().drop();
    window.dispatchEvent(new Event('online'));
    expect(sockets).toHaveLength(5);
  });

  it('is dead after 45 s of silence', () => {
    last().hello();
    vi.advanceTimersByTime(44_000);
    last().say({ t: 'ping' });
    expect(last().sent.at(-1)).toEqual({ op: 'pong' });
    vi.advanceTimersByTime(44_000);
    expect(live.connection.getState().state).toBe('live');
    vi.advanceTimersByTime(1000);
    expect(live.connection.getState().state).toBe('reconnecting');
  });

  it('stops when the session is over', () => {
    last().hello();
    last().drop(4401);
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    expect(unauthenticated).toHaveBeenCalledOnce();
  });

  it('says when the server is another version than the page', () => {
    last().hello('1');
    expect(live.connection.getState().outdated).toBe(false);
    last().drop();
    vi.advanceTimersByTime(500);
    last().hello('2');
    expect(live.connection.getState().outdated).toBe(true);
  });
});
