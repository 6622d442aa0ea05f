import { type ReactNode, useEffect, useState } from 'react';

import { ago, dateTime, duration, instant, utc } from '@/lib/format.ts';

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** One clock for all relative times of the page: ticks each second while anyone listens. */
function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const tick = (): void => setNow(Date.now());
    listeners.add(tick);
    timer ??= setInterval(() => {
      for (const listener of listeners) listener();
    }, 1000);
    return () => {
      listeners.delete(tick);
      if (listeners.size === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    };
  }, []);
  return now;
}

type When = string | number | null | undefined;

/** `2 min ago`, with the local and UTC moment as title. */
export function Ago({ at }: { at: When }): ReactNode {
  const now = useNow();
  return (
    <time dateTime={utc(at)} title={`${dateTime(at)} (${utc(at)})`}>
      {ago(at, now)}
    </time>
  );
}

/** How long something has lasted: `4 h 12 min`. */
export function Since({ at }: { at: When }): ReactNode {
  const now = useNow();
  const start = instant(at);
  return (
    <time dateTime={utc(at)} title={`${dateTime(at)} (${utc(at)})`}>
      {start ? duration((now - start.getTime()) / 1000) : '–'}
    </time>
  );
}
