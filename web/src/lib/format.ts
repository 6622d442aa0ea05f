import { currentLanguage } from './i18n.ts';

const NONE = '–';
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

function scaled(count: number): { value: number; unit: number } {
  let value = Math.abs(count);
  let unit = 0;
  // 1023.95 would print as "1,024": it belongs to the next unit.
  while (value >= 1023.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return { value: count < 0 ? -value : value, unit };
}

function digits(value: number): number {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return 0;
  return size >= 10 ? 1 : 2;
}

/** A byte count in IEC units with about three figures: `1.5 MiB`. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return NONE;
  const { value, unit } = scaled(count);
  return `${number(value, unit === 0 ? 0 : digits(value))} ${BYTE_UNITS[unit] ?? ''}`;
}

/** Bytes used of a limit in one unit where it can be: `18 / 128 MiB`. */
export function bytesOf(used: number, limit: number): string {
  const a = scaled(used);
  const b = scaled(limit);
  if (a.unit === b.unit) return `${number(a.value, digits(a.value))} / ${bytes(limit)}`;
  return `${bytes(used)} / ${bytes(limit)}`;
}

/** Bytes in a second: `1.2 MiB/s`. */
export function rate(bytesPerSecond: number | null | undefined): string {
  const text = bytes(bytesPerSecond);
  return text === NONE ? text : `${text}/s`;
}

/** A number in the reader's way, with at most `fraction` decimals. */
export function number(value: number, fraction = 0): string {
  return value.toLocaleString(currentLanguage(), { maximumFractionDigits: fraction });
}

/** A share of one core or of a limit, given in percent: `12.3 %`. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return `${value.toLocaleString(currentLanguage(), { minimumFractionDigits: 1, maximumFractionDigits: 1 })} %`;
}

/** Milliseconds with a unit that keeps three figures: `0.42 ms`, `9.1 ms`, `1.2 s`. */
export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value >= 10_000) return duration(value / 1000);
  if (value >= 1000) return `${number(value / 1000, 2)} s`;
  return `${number(value, value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

const DAY = 86_400;
const HOUR = 3600;
const MINUTE = 60;

/** A length of time in its largest unit, or two where the second helps: `3 d`, `4 h 12 min`, `32 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / DAY);
  const hours = Math.floor((whole % DAY) / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  if (days >= 2) return `${number(days)} d`;
  if (days === 1) return hours ? `1 d ${hours} h` : '1 d';
  if (hours >= 1) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  if (minutes >= 1) return `${minutes} min`;
  return `${whole} s`;
}

type Instant = string | number | null | undefined;

/** An RFC 3339 text or milliseconds since 1970 as a date, or null for nothing, zero and Go's year 1. */
export function instant(value: Instant): Date | null {
  if (value === null || value === undefined || value === '' || value === 0) return null;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) || date.getTime() <= 0 ? null : date;
}

/** How long ago: `2 min ago`. */
export function ago(value: Instant, now: number = Date.now()): string {
  const date = instant(value);
  if (!date) return NONE;
  const seconds = (now - date.getTime()) / 1000;
  return seconds < 1 ? 'now' : `${duration(seconds)} ago`;
}

/** Local date and time: `24 Nov 2026, 17:04:10`. */
export function dateTime(value: Instant): string {
  const date = instant(value);
  if (!date) return NONE;
  return date.toLocaleString(currentLanguage() === 'en' ? 'en-GB' : currentLanguage(), {
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
}

/** Local time of day: `17:04:10`. */
export function timeOfDay(value: Instant): string {
  const date = instant(value);
  return date ? date.toLocaleTimeString('en-GB', { hour12: false }) : NONE;
}

/** The same moment in UTC, for titles. */
export function utc(value: Instant): string {
  return instant(value)?.toISOString() ?? NONE;
}

/** What is said, one sentence after the other, each with one full stop between: `page not found. Start Mini`. */
export function sentences(...parts: readonly (string | null | undefined | false)[]): string {
  return parts
    .filter((part): part is string => typeof part === 'string' && part !== '')
    .map((part, index, all) => (index < all.length - 1 ? part.replace(/[.\s]+$/, '') : part))
    .join('. ');
}

/** A container or image id as people write it: twelve characters, no algorithm. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}

/** A name as Docker lists it, without its leading slash. */
export function bareName(name: string): string {
  return name.replace(/^\//, '');
}
