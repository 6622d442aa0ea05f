import { describe, expect, it } from 'vitest';

import type { LogLine } from '@/api/schema.gen.ts';

import { highlight, spansOf } from './ansi.ts';
import { LogBuffer } from './log-buffer.ts';

const line = (number: number, text = `line ${String(number)}`): LogLine => ({
  number,
  text,
  stream: 'stdout',
  time: new Date(number * 1000).toISOString(),
  truncated: false,
});
const texts = (buffer: LogBuffer): readonly string[] =>
  buffer.entries.map((entry) => (entry.kind === 'line' ? entry.text : entry.kind));

describe('the buffer', () => {
  it('lets the oldest go in one piece and counts them', () => {
    const buffer = new LogBuffer(10);
    buffer.append(Array.from({ length: 11 }, (_, index) => line(index)));
    expect(buffer.entries).toHaveLength(9);
    expect(buffer.dropped).toBe(2);
    expect(texts(buffer)[0]).toBe('line 2');
  });

  it('is bounded by bytes, too, but always keeps the last line', () => {
    const buffer = new LogBuffer(1000, 10_000);
    for (let number = 0; number < 50; number += 1) buffer.append([line(number, 'x'.repeat(1000))]);
    expect(buffer.entries.length).toBeLessThan(6);
    buffer.append([line(99, 'y'.repeat(20_000))]);
    expect(buffer.entries).toHaveLength(1);
  });

  it('puts older lines before without doubling those of the same moment', () => {
    const buffer = new LogBuffer();
    buffer.append([line(5), line(6)]);
    expect(buffer.prepend([line(3), line(4), line(5)])).toBe(2);
    buffer.mark({ kind: 'gap', dropped: 3 });
    expect(texts(buffer)).toEqual(['line 3', 'line 4', 'line 5', 'line 6', 'gap']);
    const seqs = buffer.entries.map((entry) => entry.seq);
    expect(seqs).toEqual([...new Set(seqs)].toSorted((a, b) => a - b));
  });

  it('searches text without its colours', () => {
    const buffer = new LogBuffer();
    buffer.append([line(1, '\u001B[31mred\u001B[0m \u001B]0;title\u0007end\r')]);
    expect(buffer.entries[0]).toMatchObject({ plain: 'red end' });
  });
});

describe('colours', () => {
  it('become classes of the page, and markup stays text', () => {
    expect(spansOf('\u001B[1;31m<b>no</b>\u001B[0m ok')).toEqual([
      { text: '<b>no</b>', className: 'text-danger font-bold' },
      { text: ' ok', className: '' },
    ]);
  });

  it('a hit is marked also where a colour changes in it', () => {
    const pieces = highlight(spansOf('a\u001B[32mERR\u001B[0mor b'), 'error');
    expect(pieces.map(({ text, hit }) => (hit ? `[${text}]` : text)).join('')).toBe('a[ERR][or] b');
  });
});
