const FACTORS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes of a size as docker writes it (`64m`, `1.5g`, `512 MiB`), or null when it is none. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) return null;
  const value = Number(match[1]) * (FACTORS[(match[2] ?? '').toLowerCase()] ?? Number.NaN);
  return Number.isSafeInteger(Math.round(value)) ? Math.round(value) : null;
}

/** A size in docker's short form where that is exact: `64m`. */
export function shortSize(bytes: number): string {
  for (const unit of ['g', 'm', 'k'] as const) {
    const factor = FACTORS[unit] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${String(bytes / factor)}${unit}`;
  }
  return String(bytes);
}
