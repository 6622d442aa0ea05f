import { describe, expect, it } from 'vitest';

import { ago, bytes, bytesOf, duration, instant, milliseconds, percent, sentences, shortId } from './format.ts';

describe('bytes', () => {
  it('are shown in IEC units with three figures', () => {
    expect(bytes(0)).toBe('0 B');
    expect(bytes(512)).toBe('512 B');
    expect(bytes(1536)).toBe('1.5 KiB');
    expect(bytes(64 * 1024 ** 2)).toBe('64 MiB');
    expect(bytes(8_788_869)).toBe('8.38 MiB');
  });
  it('are a dash when unknown', () => {
    expect(bytes(null)).toBe('–');
    expect(bytes(Number.NaN)).toBe('–');
  });
  it('of a limit share the unit where they can', () => {
    expect(bytesOf(18 * 1024 ** 2, 128 * 1024 ** 2)).toBe('18 / 128 MiB');
    expect(bytesOf(428 * 1024, 64 * 1024 ** 2)).toBe('428 KiB / 64 MiB');
  });
});

describe('times', () => {
  it('keep the two units that matter', () => {
    expect(duration(32)).toBe('32 s');
    expect(duration(90)).toBe('1 min');
    expect(duration(4 * 3600 + 12 * 60)).toBe('4 h 12 min');
    expect(duration(86_400 + 3600)).toBe('1 d 1 h');
    expect(duration(3 * 86_400 + 3600)).toBe('3 d');
    expect(duration(-5)).toBe('0 s');
  });
  it('of short work keep three figures', () => {
    expect(milliseconds(0.4231)).toBe('0.42 ms');
    expect(milliseconds(9.13)).toBe('9.13 ms');
    expect(milliseconds(231.4)).toBe('231 ms');
    expect(milliseconds(1234)).toBe('1.23 s');
    expect(milliseconds(75_000)).toBe('1 min');
  });
  it('know that Docker writes the year 1 for never', () => {
    expect(instant('0001-01-01T00:00:00Z')).toBeNull();
    expect(ago('0001-01-01T00:00:00Z')).toBe('–');
    expect(ago('1970-01-01T00:00:10Z', 12_000)).toBe('2 s ago');
    expect(ago('1970-01-01T00:00:10Z', 10_000)).toBe('now');
  });
});

it('a share has one decimal, and nothing is a dash', () => {
  expect(percent(49.84)).toBe('49.8 %');
  expect(percent(undefined)).toBe('–');
});

it('an id is twelve digits without its algorithm', () => {
  expect(shortId(`sha256:${'a'.repeat(64)}`)).toBe('a'.repeat(12));
});

it('sentences have one full stop between them', () => {
  expect(sentences('in use.', 'choose another')).toBe('in use. choose another');
  expect(sentences('page not found', null, 'start Mini')).toBe('page not found. start Mini');
  expect(sentences(undefined, '')).toBe('');
});
