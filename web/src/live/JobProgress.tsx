import type { ReactNode } from 'react';

import type { Job } from '@/api/schema.gen.ts';
import { bytes, number } from '@/lib/format.ts';
import { Progress } from '@/ui/Progress.tsx';
import { Prose } from '@/ui/Prose.tsx';

/** How far a job is: the whole, what it does now, and a row for each layer or step. */
export function JobProgress({ job }: { job: Job }): ReactNode {
  const busy = job.state === 'queued' || job.state === 'running';
  const amount = (value: number): string => (job.kind === 'compare' ? number(value) : bytes(value));
  return (
    <div className="flex flex-col gap-1">
      {busy && <Progress label={job.title} percent={job.percent} className="mt-1" />}
      {job.message && !job.problem && <p className="text-muted">{job.message}</p>}
      {job.problem && (
        <>
          <p className="text-danger">
            <Prose text={job.problem.detail} />
          </p>
          {job.problem.hint && (
            <p className="text-muted">
              <Prose text={job.problem.hint} />
            </p>
          )}
        </>
      )}
      {busy && job.steps.length > 0 && (
        <ul className="flex max-h-60 flex-col gap-1 overflow-y-auto text-xs text-muted">
          {job.steps.map((step) => (
            <li key={step.id} className="grid grid-cols-[6rem_1fr_auto] items-center gap-2">
              <span className="mono truncate" title={step.id}>
                {step.id}
              </span>
              <span className="min-w-0 truncate">{step.status}</span>
              {step.total ? (
                <span className="flex items-center gap-2">
                  {amount(step.current ?? 0)} / {amount(step.total)}
                  <Progress
                    label={`${job.title}: ${step.id}`}
                    percent={((step.current ?? 0) / step.total) * 100}
                    className="w-20"
                  />
                </span>
              ) : null}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
