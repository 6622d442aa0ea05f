import { clsx } from 'clsx';
import { type ReactNode, useEffect, useState } from 'react';
import { useStore } from 'zustand';

import { timeOfDay } from '@/lib/format.ts';
import type { Connection } from '@/live/socket.ts';
import { live } from '@/live/stores.ts';

import { t } from './messages.ts';

const OFFLINE_AFTER_MS = 10_000;

function wordOf({ state, since, retryAt }: Connection, now: number): string {
  switch (state) {
    case 'live':
      return t('live');
    case 'paused':
      return t('paused');
    case 'refused':
      return t('refused');
    case 'idle':
    case 'connecting':
      return t('connecting');
    default:
      if (now - since > OFFLINE_AFTER_MS) return t('offline', { time: timeOfDay(since) });
      if (retryAt && retryAt - now > 1000) return t('reconnectingIn', { seconds: Math.ceil((retryAt - now) / 1000) });
      return t('reconnecting');
  }
}

/** How the figures on the page come: live, or since when not. */
export function ConnectionPill(): ReactNode {
  const connection = useStore(live.connection);
  const [now, setNow] = useState(Date.now);
  const waiting = connection.state === 'reconnecting';
  useEffect(() => {
    if (!waiting) return undefined;
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [waiting]);
  const word = wordOf(connection, now);
  const good = connection.state === 'live';
  return (
    <span
      role="status"
      aria-label={t('connection', { state: word })}
      title={t('connection', { state: word })}
      className="inline-flex h-6 items-center gap-1.5 rounded-pill border border-line px-2.5 text-xs text-muted max-sm:px-2"
    >
      <span aria-hidden className={clsx('size-2 rounded-pill', good ? 'bg-ok' : 'animate-pulse bg-warn')} />
      <span className={clsx(good && 'max-sm:sr-only')}>{word}</span>
    </span>
  );
}
