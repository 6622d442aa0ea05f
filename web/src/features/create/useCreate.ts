import { useEffect, useRef, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import { ApiError } from '@/api/errors.ts';
import type { ContainerCreated, ContainerCreateRequest, Job, Problem } from '@/api/schema.gen.ts';
import { jobList, useJobs } from '@/live/stores.ts';

const ENDED: ReadonlySet<Job['state']> = new Set(['done', 'failed', 'cancelled']);

/** Resolves when the job has ended; the live list tells. */
function waitFor(id: string, signal: AbortSignal): Promise<Job> {
  return new Promise((resolve, reject) => {
    let end: () => void = () => undefined;
    const look = (): void => {
      const job = jobList.find(id);
      if (!job || !ENDED.has(job.state)) return;
      end();
      resolve(job);
    };
    end = jobList.subscribe(look);
    signal.addEventListener('abort', () => {
      end();
      reject(new Error('left the page'));
    });
    look();
  });
}

/** A pull that did not work is a matter of the image's field, where it is shown. */
function aboutImage(problem: Problem): Problem {
  return problem.errors?.length ? problem : { ...problem, errors: [{ field: 'image', message: problem.detail }] };
}

/** Creates a container, pulling its image first where it is missing. The pull is a job and goes on without the page. */
export function useCreate(): {
  pull: Job | undefined;
  create: (engine: string, request: ContainerCreateRequest, missing: boolean) => Promise<ContainerCreated>;
} {
  const [pullId, setPullId] = useState<string | null>(null);
  const { items } = useJobs();
  const left = useRef<AbortController | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    left.current = controller;
    return () => controller.abort();
  }, []);

  const create = async (
    engine: string,
    request: ContainerCreateRequest,
    missing: boolean,
  ): Promise<ContainerCreated> => {
    const path = { engine };
    if (missing) {
      const started = await unwrap(
        api.POST('/api/v1/engines/{engine}/images/pull', {
          params: { path },
          body: { reference: request.image ?? '' },
        }),
      );
      setPullId(started.id);
      const ended = await waitFor(started.id, left.current?.signal ?? AbortSignal.abort());
      if (ended.problem) throw new ApiError(aboutImage(ended.problem));
      if (ended.state !== 'done') throw new Error(ended.message);
    }
    return unwrap(api.POST('/api/v1/engines/{engine}/containers', { params: { path }, body: request }));
  };
  return { pull: items.find((job) => job.id === pullId), create };
}
