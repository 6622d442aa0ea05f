import { useMemo, useState } from 'react';

import type { Entry } from './log-buffer.ts';

export type StreamChoice = 'both' | 'stdout' | 'stderr';
export type LogSearch = {
  /** What is shown: all, or only what matches and comes from the chosen stream. */
  shown: readonly Entry[];
  /** Indices in `shown` of the lines that match. */
  hits: readonly number[];
  /** Which hit is the current one, as an index of `hits`; -1 without one. */
  at: number;
  step: (by: 1 | -1) => number | null;
};

/** Finds and filters among the loaded lines. The current hit is kept by its line, also while new lines come. */
export function useLogSearch(
  entries: readonly Entry[],
  text: string,
  onlyHits: boolean,
  stream: StreamChoice,
): LogSearch {
  const [seq, setSeq] = useState<number | null>(null);
  const wanted = text.toLowerCase();
  const shown = useMemo(() => {
    if (stream === 'both' && (!wanted || !onlyHits)) return entries;
    return entries.filter((entry) => {
      if (entry.kind !== 'line') return !wanted || !onlyHits;
      if (stream !== 'both' && entry.stream !== stream) return false;
      return !wanted || !onlyHits || entry.plain.toLowerCase().includes(wanted);
    });
  }, [entries, wanted, onlyHits, stream]);
  const hits = useMemo(() => {
    if (!wanted) return [];
    const found: number[] = [];
    shown.forEach((entry, index) => {
      if (entry.kind === 'line' && entry.plain.toLowerCase().includes(wanted)) found.push(index);
    });
    return found;
  }, [shown, wanted]);
  const at = seq === null ? -1 : hits.findIndex((index) => shown[index]?.seq === seq);
  const step = (by: 1 | -1): number | null => {
    if (hits.length === 0) return null;
    // Without a current hit the search starts at the newest line, where people look.
    const next = at < 0 ? hits.length - 1 : (at + by + hits.length) % hits.length;
    const index = hits[next];
    if (index === undefined) return null;
    setSeq(shown[index]?.seq ?? null);
    return index;
  };
  return { shown, hits, at, step };
}
