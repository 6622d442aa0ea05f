import { useEffect, useRef } from 'react';
import { useLocation } from 'react-router';

import type { Job } from '@/api/schema.gen.ts';
import { paths } from '@/lib/paths.ts';
import { useJobs } from '@/live/stores.ts';
import { toast } from '@/ui/toasts.ts';

import { t } from './messages.ts';

/** Where a job's progress is in view, so that its end needs no message. */
function shownAt({ kind }: Job): readonly string[] {
  return kind === 'compare' ? [paths.compare()] : [paths.images(), paths.containerNew()];
}

/**
 * Tells of the end of long work to those who have gone to another page meanwhile. Shows nothing itself: progress comes
 * many times a second, and must not render the frame of the page.
 */
export function JobToasts(): null {
  const { items } = useJobs();
  const { pathname } = useLocation();
  const busy = useRef<ReadonlySet<string>>(new Set());
  useEffect(() => {
    for (const job of items) {
      if (!busy.current.has(job.id) || shownAt(job).includes(pathname)) continue;
      if (job.state === 'done') toast('ok', t('jobFinished', { title: job.title }));
      if (job.state === 'failed')
        toast('error', t('jobBroke', { title: job.title, reason: job.problem?.detail ?? job.message }), {
          detail: job.problem?.hint ?? undefined,
        });
    }
    busy.current = new Set(items.filter(({ state }) => state === 'queued' || state === 'running').map(({ id }) => id));
  }, [items, pathname]);
  return null;
}
