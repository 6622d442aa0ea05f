import type { HostFigures, HostSnapshot, StatsPoint, StatsSnapshot, Topic } from '@/api/schema.gen.ts';
import type { SparkSource } from '@/ui/Sparkline.tsx';

import { cancelFrame, nextFrame } from './frame.ts';
import { Ring } from './ring.ts';
import type { LiveSocket, Subscription } from './socket.ts';
import { trust } from './wire.ts';

/** Going from page to page must not tear the lines; a tab that went elsewhere need not be fed. */
const LINGER_MS = 20_000;
/** Samples kept for sparklines: two minutes at one a second. */
const KEPT = 120;

/** The last values of one measured thing, as sparklines and cells read them. */
export class Series {
  readonly #rings = new Map<string, { ring: Ring; source: SparkSource }>();
  readonly #readers = new Set<() => void>();

  source(name: string): SparkSource {
    return this.#entry(name).source;
  }

  push(name: string, value: number): void {
    this.#entry(name).ring.push(value);
  }

  /** A hole, so that a line does not pretend to know what it did not see. */
  break(): void {
    for (const { ring } of this.#rings.values()) if (!Number.isNaN(ring.last() ?? Number.NaN)) ring.push(Number.NaN);
  }

  clear(): void {
    for (const { ring } of this.#rings.values()) ring.clear();
  }

  readonly subscribe = (reader: () => void): (() => void) => {
    this.#readers.add(reader);
    return () => {
      this.#readers.delete(reader);
      cancelFrame(reader);
    };
  };

  tell(): void {
    for (const reader of this.#readers) nextFrame(reader);
  }

  #entry(name: string): { ring: Ring; source: SparkSource } {
    let entry = this.#rings.get(name);
    if (!entry) {
      const ring = new Ring(KEPT);
      entry = { ring, source: { values: () => ring.values(), subscribe: this.subscribe } };
      this.#rings.set(name, entry);
    }
    return entry;
  }
}

export class ContainerFigures extends Series {
  last: StatsPoint | null = null;
  /** The newest samples, so that history that comes later can be put before them. */
  #samples: StatsPoint[] = [];

  take(point: StatsPoint): void {
    if (this.last && this.last.time_ms >= point.time_ms) return;
    this.last = point;
    this.#samples = [...this.#samples.slice(-(KEPT - 1)), point];
    this.push('cpu', point.cpu_percent);
    this.push('memory', point.memory_working_set_bytes);
    this.push('network', (point.network_receive_bytes_per_s ?? 0) + (point.network_transmit_bytes_per_s ?? 0));
    this.push('disk', point.block_read_bytes_per_s + point.block_write_bytes_per_s);
    this.tell();
  }

  /** Puts what was measured before the page was opened in front of what came since. */
  seed(history: readonly StatsPoint[]): void {
    const first = this.#samples[0]?.time_ms ?? Number.POSITIVE_INFINITY;
    const all = [...history.filter((one) => one.time_ms < first), ...this.#samples];
    this.#samples = [];
    this.clear();
    this.last = null;
    for (const point of all.slice(-KEPT)) this.take(point);
  }

  /** The figures stop being known: the line gets a hole. */
  lose(): void {
    this.last = null;
    this.#samples = [];
    this.break();
  }
}

export class HostSeries extends Series {
  last: HostFigures | null = null;

  override clear(): void {
    super.clear();
    this.last = null;
  }
}

abstract class Feed {
  #users = 0;
  #subscription: Subscription | null = null;
  #leaving: ReturnType<typeof setTimeout> | undefined;

  protected abstract join(): Subscription;
  protected abstract forget(): void;

  /** Keeps the feed running until the returned function is called. */
  readonly use = (): (() => void) => {
    clearTimeout(this.#leaving);
    this.#users += 1;
    this.#subscription ??= this.join();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#leaving = setTimeout(() => {
        this.#subscription?.close();
        this.#subscription = null;
        this.forget();
      }, LINGER_MS);
    };
  };
}

/** Figures of one engine's containers, each with its own readers. */
export class StatsFeed extends Feed {
  readonly #socket: LiveSocket;
  readonly #topic: Topic;
  readonly #containers = new Map<string, ContainerFigures>();

  constructor(socket: LiveSocket, engine: string) {
    super();
    this.#socket = socket;
    this.#topic = { topic: 'stats', args: { engine } };
  }

  /** The figures of one container; empty until the first sample. */
  of(id: string): ContainerFigures {
    let figures = this.#containers.get(id);
    if (!figures) {
      figures = new ContainerFigures();
      this.#containers.set(id, figures);
    }
    return figures;
  }

  protected join(): Subscription {
    const take = (data: unknown): void => {
      const { stats } = trust<StatsSnapshot>(data);
      for (const { id, point } of stats) this.of(id).take(point);
    };
    return this.#socket.subscribe(() => this.#topic, {
      onSnap: take,
      onDelta: take,
      onLost: () => {
        for (const figures of this.#containers.values()) {
          figures.lose();
          figures.tell();
        }
      },
    });
  }

  protected forget(): void {
    for (const figures of this.#containers.values()) figures.lose();
  }

  /** Drops what belongs to containers that are gone. */
  prune(known: ReadonlySet<string>): void {
    for (const id of this.#containers.keys()) if (!known.has(id)) this.#containers.delete(id);
  }
}

/** Figures of the machine the server runs on. */
export class HostFeed extends Feed {
  readonly series = new HostSeries();
  /** The newest samples, so that history that comes later can be put before them. */
  #samples: HostFigures[] = [];
  readonly #socket: LiveSocket;

  constructor(socket: LiveSocket) {
    super();
    this.#socket = socket;
  }

  /** Puts what was measured before the page was opened in front of what came since. */
  seed(history: readonly HostFigures[]): void {
    const first = this.#samples[0]?.time_ms ?? Number.POSITIVE_INFINITY;
    const all = [...history.filter((one) => one.time_ms < first), ...this.#samples];
    this.#samples = [];
    this.series.clear();
    for (const figures of all) this.#take(figures);
  }

  #take(figures: HostFigures): void {
    const { series } = this;
    if (series.last && series.last.time_ms >= figures.time_ms) return;
    this.#samples = [...this.#samples.slice(-(KEPT - 1)), figures];
    series.last = figures;
    const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
    series.push('cpu', figures.cpu_percent);
    series.push('memory', figures.memory_used_bytes);
    series.push('disk', sum(figures.disks.map((disk) => disk.read_bytes_per_s + disk.write_bytes_per_s)));
    series.push('receive', sum(figures.networks.map((one) => one.receive_bytes_per_s)));
    series.push('transmit', sum(figures.networks.map((one) => one.transmit_bytes_per_s)));
    series.push('network', sum(figures.networks.map((one) => one.receive_bytes_per_s + one.transmit_bytes_per_s)));
    series.tell();
  }

  protected join(): Subscription {
    const take = (data: unknown): void => this.#take(trust<HostSnapshot>(data).figures);
    return this.#socket.subscribe(() => ({ topic: 'host', args: {} }), {
      onSnap: take,
      onDelta: take,
      onLost: () => {
        this.series.break();
        this.series.tell();
      },
    });
  }

  protected forget(): void {
    this.series.break();
  }
}
