import type { LogLine } from '@/api/schema.gen.ts';

export type Line = {
  kind: 'line';
  /** Counts up in the order shown; older lines loaded later count down from zero. */
  seq: number;
  time: string;
  stream: LogLine['stream'];
  /** As it was written, colour codes included. */
  text: string;
  /** Without colour codes: what is searched. */
  plain: string;
  truncated: boolean;
};
type Mark =
  | { kind: 'gap'; seq: number; dropped: number }
  | { kind: 'restart'; seq: number }
  | { kind: 'end'; seq: number; reason: string };
export type Entry = Line | Mark;

// Escape sequences of terminals: CSI, OSC, and the two-character ones.
// oxlint-disable-next-line no-control-regex
const ESCAPES = /\u001B(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[@-Z\\-_])/g;
/** How many of the oldest go at once when it is full: one shift for many lines. */
const TRIM_SHARE = 0.1;

function weight(entry: Entry): number {
  return entry.kind === 'line' ? 64 + entry.text.length * 2 : 64;
}

/** The newest lines of a log within a fixed amount of memory. Lines are never joined. */
export class LogBuffer {
  readonly #maximumLines: number;
  readonly #maximumBytes: number;
  #entries: Entry[] = [];
  #bytes = 0;
  #first = 0;
  #next = 0;
  #dropped = 0;

  constructor(maximumLines = 65_536, maximumBytes = 24 * 1024 * 1024) {
    this.#maximumLines = maximumLines;
    this.#maximumBytes = maximumBytes;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** How many of the oldest have been let go. */
  get dropped(): number {
    return this.#dropped;
  }

  get isFull(): boolean {
    return (
      this.#entries.length >= this.#maximumLines * (1 - TRIM_SHARE) ||
      this.#bytes >= this.#maximumBytes * (1 - TRIM_SHARE)
    );
  }

  get firstTime(): string | null {
    return this.#entries.find((entry) => entry.kind === 'line')?.time ?? null;
  }

  /** Adds lines at the end. */
  append(lines: readonly LogLine[]): void {
    for (const line of lines) this.#push(entryOf(line, this.#take()));
    this.#trim();
  }

  mark(mark: { kind: 'gap'; dropped: number } | { kind: 'restart' } | { kind: 'end'; reason: string }): void {
    this.#push({ ...mark, seq: this.#take() });
    this.#trim();
  }

  /** Adds older lines at the beginning; the ones at the seam that are known already are left out. */
  prepend(lines: readonly LogLine[]): number {
    const known = new Set<string>();
    const seam = this.firstTime;
    for (const entry of this.#entries) {
      if (entry.kind !== 'line') continue;
      if (entry.time !== seam) break;
      known.add(entry.text);
    }
    const older = lines.filter(
      (line) => seam === null || line.time < seam || (line.time === seam && !known.has(line.text)),
    );
    this.#first -= older.length;
    const entries = older.map((line, index) => entryOf(line, this.#first + index));
    this.#entries = [...entries, ...this.#entries];
    this.#bytes += entries.reduce((sum, entry) => sum + weight(entry), 0);
    return entries.length;
  }

  clear(): void {
    this.#entries = [];
    this.#bytes = 0;
    this.#dropped = 0;
  }

  #take(): number {
    const seq = this.#next;
    this.#next += 1;
    return seq;
  }

  #push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += weight(entry);
  }

  #trim(): void {
    if (this.#entries.length <= this.#maximumLines && this.#bytes <= this.#maximumBytes) return;
    let count = 0;
    const lines = this.#maximumLines * (1 - TRIM_SHARE);
    const bytes = this.#maximumBytes * (1 - TRIM_SHARE);
    while (this.#entries.length - count > 1 && (this.#entries.length - count > lines || this.#bytes > bytes)) {
      const entry = this.#entries[count];
      if (entry) this.#bytes -= weight(entry);
      count += 1;
    }
    this.#entries = this.#entries.slice(count);
    this.#dropped += count;
  }
}

function entryOf(line: LogLine, seq: number): Line {
  const text = line.text.replace(/\r$/, '');
  const plain = text.includes('\u001B') ? text.replaceAll(ESCAPES, '') : text;
  return { kind: 'line', seq, time: line.time, stream: line.stream, text, plain, truncated: line.truncated };
}
