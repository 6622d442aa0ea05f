import { createStore, type StoreApi } from 'zustand/vanilla';

import type { ClientMessage, Hello, Position, Problem, ServerMessage, Topic } from '@/api/schema.gen.ts';

import { messageOf } from './wire.ts';

/** The protocol this page speaks; another `v` in the server's hello means that the page is older or newer. */
const PROTOCOL = 1;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15_000;
const STABLE_MS = 30_000;
const SILENCE_MS = 45_000;
const PROBE_MS = 3000;
const HIDDEN_MS = 60_000;
const CLOSE_UNAUTHENTICATED = 4401;
const CLOSE_FORBIDDEN = 4403;
const CLOSE_GOING_DOWN = 4009;

export type ConnectionState = 'idle' | 'connecting' | 'live' | 'reconnecting' | 'paused' | 'refused';

export type Connection = {
  state: ConnectionState;
  /** Since when, milliseconds since 1970. */
  since: number;
  /** When the next try is made. */
  retryAt: number | null;
  hello: Hello | null;
  /** The server is no longer the one this page came from: it should be reloaded. */
  outdated: boolean;
};

export type Gap = Omit<Extract<ServerMessage, { t: 'gap' }>, 't' | 'id'>;

/** What a subscription is told. Data is as the topic says; the caller knows its type. */
export type Handlers = {
  onSnap: (data: unknown) => void;
  onDelta: (data: unknown) => void;
  onGap?: (gap: Gap) => void;
  onEnd?: (reason: string) => void;
  onError?: (problem: Problem) => void;
  /** The connection was lost; a snap, or deltas that go on, will follow. */
  onLost?: () => void;
};

export type Subscription = { credit: (bytes: number) => void; close: () => void };

type Channel = {
  id: number;
  topic: () => Topic;
  handlers: Handlers;
  position: Position | null;
  /** The topic has ended or is refused: nothing is asked again. */
  over: boolean;
};

export type SocketLike = Pick<WebSocket, 'send' | 'close' | 'readyState'> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

export type LiveSocketOptions = {
  connect: () => SocketLike;
  /** The session is over. */
  onUnauthenticated: () => void;
  random?: () => number;
};

/**
 * The one connection of a tab. Keeps every subscription alive over lost connections: it resumes where the server still
 * knows the position, and starts a topic over when a frame is missing.
 */
export class LiveSocket {
  readonly connection: StoreApi<Connection> = createStore<Connection>()(() => ({
    state: 'idle',
    since: Date.now(),
    retryAt: null,
    hello: null,
    outdated: false,
  }));

  readonly #options: LiveSocketOptions;
  readonly #channels = new Map<number, Channel>();
  #socket: SocketLike | null = null;
  #lastId = 0;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #stable: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #hidden: ReturnType<typeof setTimeout> | undefined;
  #open = false;
  #version: string | null = null;

  constructor(options: LiveSocketOptions) {
    this.#options = options;
  }

  open(): void {
    if (this.#open) return;
    this.#open = true;
    window.addEventListener('online', this.#onWake);
    window.addEventListener('offline', this.#onWake);
    document.addEventListener('visibilitychange', this.#onVisibility);
    this.#connect();
  }

  dispose(): void {
    if (!this.#open) return;
    this.#open = false;
    window.removeEventListener('online', this.#onWake);
    window.removeEventListener('offline', this.#onWake);
    document.removeEventListener('visibilitychange', this.#onVisibility);
    clearTimeout(this.#hidden);
    this.#drop();
    this.#enter('idle');
  }

  /** Subscribes. `topic` is asked anew after each lost connection, so that a log can say how far it got. */
  subscribe(topic: () => Topic, handlers: Handlers): Subscription {
    const channel: Channel = { id: this.#nextId(), topic, handlers, position: null, over: false };
    this.#channels.set(channel.id, channel);
    this.#ask(channel);
    return {
      credit: (bytes) => {
        if (!channel.over) this.#send({ op: 'credit', id: channel.id, bytes });
      },
      close: () => {
        if (this.#channels.delete(channel.id) && !channel.over) this.#send({ op: 'unsub', id: channel.id });
      },
    };
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #enter(state: ConnectionState, more: Partial<Connection> = {}): void {
    const before = this.connection.getState();
    const since = before.state === state ? before.since : Date.now();
    this.connection.setState({ state, since, retryAt: null, ...more });
  }

  #connect(): void {
    this.#drop();
    const { state } = this.connection.getState();
    this.#enter(state === 'idle' ? 'connecting' : state === 'paused' ? 'connecting' : 'reconnecting');
    const socket = this.#options.connect();
    this.#socket = socket;
    this.#watchSilence(PROBE_MS * 3);
    socket.onmessage = (event) => {
      if (this.#socket === socket) this.#receive(String(event.data));
    };
    socket.onclose = (event) => {
      if (this.#socket === socket) this.#closed(event.code);
    };
  }

  /** Lets go of the socket and its timers without telling anyone. */
  #drop(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#stable);
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
    for (const channel of this.#channels.values()) if (!channel.over) channel.handlers.onLost?.();
  }

  #closed(code: number): void {
    this.#drop();
    if (!this.#open) return;
    if (code === CLOSE_UNAUTHENTICATED) {
      this.#enter('refused');
      this.#options.onUnauthenticated();
      return;
    }
    if (code === CLOSE_FORBIDDEN) {
      this.#enter('refused');
      return;
    }
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    const random = this.#options.random ?? Math.random;
    const delay = code === CLOSE_GOING_DOWN ? 1000 : random() * ceiling;
    this.#retry = setTimeout(() => this.#connect(), delay);
    this.#enter('reconnecting', { retryAt: Date.now() + delay });
  }

  #receive(text: string): void {
    const message = messageOf(text);
    this.#watchSilence(SILENCE_MS);
    if (!message) return;
    switch (message.t) {
      case 'hello':
        this.#welcome(message);
        break;
      case 'ping':
        this.#send({ op: 'pong' });
        break;
      case 'pong':
        break;
      case 'err':
        this.#refuse(message);
        break;
      default:
        this.#deliver(message);
    }
  }

  #welcome(hello: Hello): void {
    this.#version ??= hello.server_version;
    const outdated = hello.v !== PROTOCOL || hello.server_version !== this.#version;
    this.#enter(hello.v === PROTOCOL ? 'live' : 'refused', { hello, outdated });
    if (hello.v !== PROTOCOL) {
      this.#drop();
      return;
    }
    this.#stable = setTimeout(() => {
      this.#attempt = 0;
    }, STABLE_MS);
    for (const channel of this.#channels.values()) if (!channel.over) this.#ask(channel);
  }

  #refuse({ id, problem }: Extract<ServerMessage, { t: 'err' }>): void {
    const channel = id === null || id === undefined ? undefined : this.#channels.get(id);
    if (!channel) return;
    channel.over = true;
    channel.handlers.onError?.(problem);
  }

  #deliver(message: Extract<ServerMessage, { t: 'snap' | 'delta' | 'gap' | 'end' }>): void {
    const channel = this.#channels.get(message.id);
    if (!channel || channel.over) return;
    const { handlers } = channel;
    switch (message.t) {
      case 'snap':
        channel.position = { epoch: message.epoch, seq: message.seq };
        handlers.onSnap(message.data);
        break;
      case 'delta': {
        const last = channel.position;
        if (last && message.seq <= last.seq) return;
        if (!last || message.seq !== last.seq + 1) {
          this.#startOver(channel);
          return;
        }
        last.seq = message.seq;
        handlers.onDelta(message.data);
        break;
      }
      case 'gap':
        handlers.onGap?.(message);
        break;
      case 'end':
        channel.over = true;
        handlers.onEnd?.(message.reason);
        break;
    }
  }

  /** A frame is missing: what is known is worth nothing. A new id makes frames still under way meet no one. */
  #startOver(channel: Channel): void {
    this.#send({ op: 'unsub', id: channel.id });
    this.#channels.delete(channel.id);
    channel.id = this.#nextId();
    channel.position = null;
    this.#channels.set(channel.id, channel);
    channel.handlers.onLost?.();
    this.#ask(channel);
  }

  #ask(channel: Channel): void {
    if (this.connection.getState().state !== 'live') return;
    const { id, position } = channel;
    this.#send({ op: 'sub', id, ...channel.topic(), ...(position ? { from: position } : {}) });
  }

  #send(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #watchSilence(limit: number): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#closed(0), limit);
  }

  /** The network changed or the machine woke up: ask now instead of waiting for the silence to be long enough. */
  readonly #onWake = (): void => {
    if (!this.#open || this.connection.getState().state === 'refused') return;
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#send({ op: 'ping' });
      this.#watchSilence(PROBE_MS);
    } else if (navigator.onLine) {
      this.#attempt = 0;
      this.#connect();
    }
  };

  /** A tab nobody sees needs no figures: after a minute it lets go, and resumes when it is looked at. */
  readonly #onVisibility = (): void => {
    clearTimeout(this.#hidden);
    if (document.visibilityState === 'visible') {
      this.#onWake();
      return;
    }
    this.#hidden = setTimeout(() => {
      if (this.connection.getState().state === 'refused') return;
      this.#drop();
      this.#enter('paused');
    }, HIDDEN_MS);
  };
}
