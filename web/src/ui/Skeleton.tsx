import { clsx } from 'clsx';
import { type ReactNode, useEffect, useState } from 'react';

import { t } from './messages.ts';

const QUIET_MS = 150;
const SLOW_MS = 8000;

/** Grey bars of the final shape: nothing for 150 ms, a word after 8 s. */
export function Skeleton({
  rows = 3,
  className,
  rowClass = 'h-row',
}: {
  rows?: number;
  className?: string;
  rowClass?: string;
}): ReactNode {
  const [stage, setStage] = useState<'quiet' | 'shown' | 'slow'>('quiet');
  useEffect(() => {
    const shown = setTimeout(() => setStage('shown'), QUIET_MS);
    const slow = setTimeout(() => setStage('slow'), SLOW_MS);
    return () => {
      clearTimeout(shown);
      clearTimeout(slow);
    };
  }, []);
  return (
    <div
      role="status"
      aria-label={t('loading')}
      className={clsx('flex flex-col gap-2', stage === 'quiet' && 'invisible', className)}
    >
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} aria-hidden className={clsx('animate-pulse rounded-control bg-raised', rowClass)} />
      ))}
      {stage === 'slow' && <p className="text-muted">{t('stillWaiting')}</p>}
    </div>
  );
}
