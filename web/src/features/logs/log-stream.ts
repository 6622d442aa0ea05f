import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import type { LogBatch, Problem } from '@/api/schema.gen.ts';
import { cancelFrame, nextFrame } from '@/live/frame.ts';
import type { Subscription } from '@/live/socket.ts';
import { live } from '@/live/stores.ts';
import { trust } from '@/live/wire.ts';

import { type Entry, LogBuffer } from './log-buffer.ts';

const FIRST_LINES = 1000;
/** A first batch below both limits holds all there is. */
const FIRST_BYTES = 100 * 1024;
const OLDER_LINES = 2000;

export type LogState = {
  entries: readonly Entry[];
  /** How many of the oldest were let go since the start: what was at index n is now at n less what was added here. */
  dropped: number;
  prepended: number;
  ready: boolean;
  ended: boolean;
  /** Nothing older exists. */
  complete: boolean;
  full: boolean;
  loadingOlder: boolean;
  problem: Problem | null;
};

const encoder = new TextEncoder();

/** What the server counts against the credit of a batch: the bytes of its lines. */
function bytesOf(batch: LogBatch): number {
  return batch.lines.reduce((sum, line) => sum + encoder.encode(line.text).length, 0);
}

/** One container's log: follows it over lost connections and restarts, and pages back on request. */
export class LogStream {
  readonly #engine: string;
  readonly #container: string;
  readonly #buffer = new LogBuffer();
  /** Where to go on after a lost connection, in the server's own words. */
  #cursor: string | null = null;
  readonly #readers = new Set<() => void>();
  #subscription: Subscription | null = null;
  #state: LogState = {
    entries: [],
    dropped: 0,
    prepended: 0,
    ready: false,
    ended: false,
    complete: false,
    full: false,
    loadingOlder: false,
    problem: null,
  };

  constructor(engine: string, container: string) {
    this.#engine = engine;
    this.#container = container;
  }

  readonly get = (): LogState => this.#state;

  readonly subscribe = (reader: () => void): (() => void) => {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  };

  open(): void {
    if (this.#subscription) return;
    this.#subscription = live.subscribe(
      () => {
        const since = this.#cursor;
        const of = { engine: this.#engine, container: this.#container };
        return { topic: 'logs', args: since ? { ...of, since } : { ...of, tail: FIRST_LINES } };
      },
      {
        // A snapshot after a lost connection holds what came after the cursor, so both are appended.
        onSnap: (data) => this.#take(trust<LogBatch>(data)),
        onDelta: (data) => this.#take(trust<LogBatch>(data)),
        onGap: ({ dropped }) => {
          this.#buffer.mark({ kind: 'gap', dropped });
          this.#change({});
        },
        onEnd: (reason) => {
          this.#buffer.mark({ kind: 'end', reason });
          this.#change({ ended: true, ready: true });
        },
        onError: (problem) => this.#change({ problem, ready: true }),
      },
    );
  }

  dispose(): void {
    this.#subscription?.close();
    this.#subscription = null;
    cancelFrame(this.#tell);
  }

  /** Starts again after the log had ended, for the container runs anew. */
  reopen(): void {
    this.dispose();
    this.#change({ ended: false, problem: null });
    this.open();
  }

  async loadOlder(): Promise<void> {
    const until = this.#buffer.firstTime;
    if (this.#state.loadingOlder || this.#state.complete || until === null) return;
    this.#change({ loadingOlder: true });
    try {
      const page = await unwrap(
        api.GET('/api/v1/engines/{engine}/containers/{container}/logs', {
          params: { path: { engine: this.#engine, container: this.#container }, query: { until, tail: OLDER_LINES } },
        }),
      );
      const added = this.#buffer.prepend(page.lines);
      this.#change({
        loadingOlder: false,
        complete: added === 0 || !page.more_before,
        prepended: this.#state.prepended + added,
      });
    } catch (error) {
      this.#change({ loadingOlder: false, problem: problemFrom(error) });
    }
  }

  #take(batch: LogBatch): void {
    this.#buffer.append(batch.lines);
    this.#cursor = batch.cursor;
    if (batch.restarted) this.#buffer.mark({ kind: 'restart' });
    const bytes = bytesOf(batch);
    const first = !this.#state.ready && batch.lines.length < FIRST_LINES && bytes < FIRST_BYTES;
    this.#change(first ? { ready: true, complete: true } : { ready: true });
    // Stored is enough: painting must not slow the stream, and the buffer is bounded.
    if (bytes > 0) this.#subscription?.credit(bytes);
  }

  #pending: Partial<LogState> = {};

  #change(change: Partial<LogState>): void {
    this.#pending = { ...this.#pending, ...change };
    nextFrame(this.#tell);
  }

  readonly #tell = (): void => {
    const { entries, dropped, isFull } = this.#buffer;
    // The buffer reuses its array; readers compare by identity.
    this.#state = { ...this.#state, ...this.#pending, entries: [...entries], dropped, full: isFull };
    this.#pending = {};
    for (const reader of this.#readers) reader();
  };
}
