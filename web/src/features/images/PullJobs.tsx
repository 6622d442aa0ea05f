import type { ReactNode } from 'react';

import { api } from '@/api/client.ts';
import type { Job } from '@/api/schema.gen.ts';
import { useAction } from '@/api/useAction.ts';
import { JobProgress } from '@/live/JobProgress.tsx';
import { useJobs } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';

import { t } from './messages.ts';

/** A pull that did not work stays in view for so long. */
const FAILED_SHOWN_MS = 5 * 60_000;

function shown(job: Job): boolean {
  if (job.kind !== 'pull' && job.kind !== 'load_starter') return false;
  if (job.state === 'queued' || job.state === 'running') return true;
  return job.state === 'failed' && Date.now() - Date.parse(job.finished_at ?? job.created_at) < FAILED_SHOWN_MS;
}

/** Pulls under way, layer by layer, and those that just went wrong. */
export function PullJobs({ engines }: { engines: readonly string[] }): ReactNode {
  const { items } = useJobs();
  const jobs = items.filter((job) => shown(job) && (!job.engine || engines.includes(job.engine)));
  if (jobs.length === 0) return null;
  return (
    <section aria-label={t('pulling')} className="mb-4 flex flex-col gap-2">
      {jobs.map((job) => (
        <PullJob key={job.id} job={job} />
      ))}
    </section>
  );
}

function PullJob({ job }: { job: Job }): ReactNode {
  const { act, pending } = useAction();
  const busy = job.state === 'queued' || job.state === 'running';
  return (
    <Card
      title={job.title}
      note={job.engine && <EngineMark engine={job.engine} />}
      actions={
        busy &&
        job.cancellable && (
          <Button
            pending={pending}
            aria-label={t('cancelNamed', { title: job.title })}
            onClick={() => void act(() => api.POST('/api/v1/jobs/{job}/cancel', { params: { path: { job: job.id } } }))}
          >
            {t('cancel')}
          </Button>
        )
      }
    >
      <JobProgress job={job} />
    </Card>
  );
}
