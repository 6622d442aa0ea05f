import type { Topic } from '@/api/schema.gen.ts';

import { cancelFrame, nextFrame } from './frame.ts';
import type { LiveSocket, Subscription } from './socket.ts';
import { trust } from './wire.ts';

/** A page that goes to another and comes back must not make the server send everything again. */
const LINGER_MS = 250;

export type ListState<T> = {
  items: readonly T[];
  /** A snapshot has come: an empty list means that there is nothing. */
  ready: boolean;
  /** The server ended the topic: what is shown is old. */
  stale: boolean;
  error: string | null;
};

type Change<T> = { upsert: readonly T[]; remove: readonly string[] };

/**
 * A list of the server kept current by one topic while somebody looks at it. Readers are told once per frame, however
 * many changes came in between.
 */
export class TopicList<T> {
  readonly #socket: LiveSocket;
  readonly #topic: Topic;
  readonly #keyOf: (item: T) => string;
  readonly #items = new Map<string, T>();
  readonly #readers = new Set<() => void>();
  #state: ListState<T> = { items: [], ready: false, stale: false, error: null };
  #subscription: Subscription | null = null;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: LiveSocket, topic: Topic, keyOf: (item: T) => string) {
    this.#socket = socket;
    this.#topic = topic;
    this.#keyOf = keyOf;
  }

  readonly get = (): ListState<T> => this.#state;

  find(key: string): T | undefined {
    return this.#items.get(key);
  }

  readonly subscribe = (reader: () => void): (() => void) => {
    clearTimeout(this.#leaving);
    this.#readers.add(reader);
    this.#subscription ??= this.#join();
    return () => {
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.#leaving = setTimeout(() => this.#leave(), LINGER_MS);
    };
  };

  #join(): Subscription {
    return this.#socket.subscribe(() => this.#topic, {
      onSnap: (data) => {
        const { items } = trust<{ items: readonly T[] }>(data);
        this.#items.clear();
        for (const item of items) this.#items.set(this.#keyOf(item), item);
        this.#publish({ ready: true, stale: false, error: null });
      },
      onDelta: (data) => {
        const change = trust<Change<T>>(data);
        for (const key of change.remove) this.#items.delete(key);
        for (const item of change.upsert) this.#items.set(this.#keyOf(item), item);
        this.#publish({});
      },
      onError: (problem) => this.#publish({ ready: true, error: problem.detail }),
      onEnd: (reason) => this.#publish({ ready: true, stale: true, error: reason }),
    });
  }

  #leave(): void {
    this.#subscription?.close();
    this.#subscription = null;
    this.#items.clear();
    this.#pending = {};
    cancelFrame(this.#tell);
    this.#state = { items: [], ready: false, stale: false, error: null };
  }

  #publish(change: Partial<ListState<T>>): void {
    this.#pending = { ...this.#pending, ...change };
    nextFrame(this.#tell);
  }

  #pending: Partial<ListState<T>> = {};

  readonly #tell = (): void => {
    this.#state = { ...this.#state, ...this.#pending, items: [...this.#items.values()] };
    this.#pending = {};
    for (const reader of this.#readers) reader();
  };
}
