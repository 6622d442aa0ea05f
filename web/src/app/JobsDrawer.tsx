import type { ReactNode } from 'react';

import { api } from '@/api/client.ts';
import type { Job, JobState } from '@/api/schema.gen.ts';
import { useAction } from '@/api/useAction.ts';
import { JobProgress } from '@/live/JobProgress.tsx';
import { useJobs } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Tag } from '@/ui/Chip.tsx';
import { Dialog } from '@/ui/Dialog.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { Ago } from '@/ui/Time.tsx';

import { t } from './messages.ts';

const STATES: Record<JobState, { word: string; tone: 'muted' | 'ok' | 'danger' | 'info' }> = {
  queued: { word: t('jobQueued'), tone: 'muted' },
  running: { word: t('jobRunning'), tone: 'info' },
  done: { word: t('jobDone'), tone: 'ok' },
  failed: { word: t('jobFailed'), tone: 'danger' },
  cancelled: { word: t('jobCancelled'), tone: 'muted' },
};

/** All long work of the server: it goes on without this page. */
export function JobsDrawer({ onClose }: { onClose: () => void }): ReactNode {
  const { items } = useJobs();
  const jobs = items.toSorted((a, b) => b.created_at.localeCompare(a.created_at));
  return (
    <Dialog title={t('jobsTitle')} kind="drawer" onClose={onClose}>
      {jobs.length === 0 && <p className="text-muted">{t('jobsNone')}</p>}
      <ul className="flex flex-col gap-3">
        {jobs.map((job) => (
          <JobRow key={job.id} job={job} />
        ))}
      </ul>
    </Dialog>
  );
}

function JobRow({ job }: { job: Job }): ReactNode {
  const { act, pending } = useAction();
  const busy = job.state === 'queued' || job.state === 'running';
  const state = STATES[job.state];
  return (
    <li className="rounded-card border border-line p-3">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h3 className="min-w-0 flex-1 font-semibold break-words">{job.title}</h3>
        <Tag tone={state.tone}>{state.word}</Tag>
      </div>
      <p className="flex flex-wrap gap-x-3 text-xs text-subtle">
        {job.engine && <EngineMark engine={job.engine} />}
        {job.started_by && <span>{job.started_by}</span>}
        <Ago at={job.created_at} />
      </p>
      <JobProgress job={job} />
      {busy && job.cancellable && (
        <Button
          className="mt-2"
          pending={pending}
          aria-label={t('jobCancel', { title: job.title })}
          onClick={() => void act(() => api.POST('/api/v1/jobs/{job}/cancel', { params: { path: { job: job.id } } }))}
        >
          {t('cancel')}
        </Button>
      )}
    </li>
  );
}
