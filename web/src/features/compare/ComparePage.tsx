import { useQuery, useQueryClient } from '@tanstack/react-query';
import { type ReactNode, useEffect } from 'react';
import { Link, useSearchParams } from 'react-router';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import type { CompareResult } from '@/api/schema.gen.ts';
import { useAction } from '@/api/useAction.ts';
import { milliseconds } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { quote } from '@/lib/shell.ts';
import { JobProgress } from '@/live/JobProgress.tsx';
import { useJobs } from '@/live/stores.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Button } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { engineName } from '@/ui/EngineMark.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';
import { Ago } from '@/ui/Time.tsx';

import { MemoryStrip, Phases, Strip } from './Charts.tsx';
import { t } from './messages.ts';
import { RunForm } from './RunForm.tsx';
import { IsolationTable, SamplesTable } from './Tables.tsx';
import { Tiles } from './Tiles.tsx';

const listKey = ['server', 'compare'];

/** The same work on both engines, side by side. The result shown is in the address. */
export function ComparePage(): ReactNode {
  const [search, setSearch] = useSearchParams();
  const client = useQueryClient();
  const { data: list } = useQuery({ queryKey: listKey, queryFn: () => unwrap(api.GET('/api/v1/compare')) });
  const results = (list?.items ?? []).toSorted((a, b) => b.started_at.localeCompare(a.started_at));
  const id = search.get('run') ?? results[0]?.id;
  const { items: jobs } = useJobs();
  const { data: result, error } = useQuery({
    queryKey: [...listKey, id],
    queryFn: () => unwrap(api.GET('/api/v1/compare/{comparison}', { params: { path: { comparison: id ?? '' } } })),
    enabled: id !== undefined,
    // The job's end and the last figures come by different ways; the figures may be the later ones.
    refetchInterval: ({ state }) => (state.data && !state.data.finished ? 1000 : false),
  });
  const job = jobs.find((one) => one.id === result?.job);
  const step = `${job?.state ?? ''}:${String(Math.floor((job?.percent ?? 0) / 5))}`;
  useEffect(() => {
    // The job tells how far it is; each step has brought new samples.
    void client.invalidateQueries({ queryKey: listKey });
  }, [client, step]);

  return (
    <>
      <PageHeader
        title={t('title')}
        note={
          result &&
          t('note', {
            image: result.image,
            command: result.command.map(quote).join(' ') || '/bin/true',
            runs: result.runs,
            machine: result.machine,
          })
        }
      />
      <div className="flex flex-col gap-3">
        <RunForm
          onStarted={(started) => {
            setSearch({ ...Object.fromEntries(search), run: started.id }, { replace: true });
            void client.invalidateQueries({ queryKey: listKey });
          }}
        />
        {job && (job.state === 'running' || job.state === 'queued') && <Running job={job} />}
        {job?.state === 'failed' && job.problem && <ProblemBox title={t('notRun')} problem={job.problem} />}
        {error && <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} />}
        {list && !id && <EmptyState title={t('empty')} />}
        {id && !result && !error && <Skeleton rows={4} rowClass="h-24" />}
        {result && <Result result={result} />}
        {results.length > 1 && <Past results={results} current={id} />}
      </div>
    </>
  );
}

function Running({ job }: { job: Parameters<typeof JobProgress>[0]['job'] }): ReactNode {
  const { act, pending } = useAction();
  return (
    <Card
      title={t('progress')}
      actions={
        job.cancellable && (
          <Button
            pending={pending}
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

function Result({ result }: { result: CompareResult }): ReactNode {
  const { engines } = result;
  const any = engines.some((one) => one.samples.length > 0);
  return (
    <>
      {engines.map(
        (one) =>
          one.excluded && (
            <Banner
              key={one.engine}
              kind="warn"
              title={t('excluded', { engine: engineName(one.engine), reason: one.excluded })}
            />
          ),
      )}
      {any && (
        <>
          <Tiles engines={engines} />
          {result.summary.length > 0 && (
            <Card title={t('says')}>
              <ul className="list-disc pl-5">
                {result.summary.map((sentence) => (
                  <li key={sentence}>{sentence}</li>
                ))}
              </ul>
            </Card>
          )}
          <div className="grid items-start gap-3 lg:grid-cols-2">
            <Strip
              title={t('latency')}
              note={t('latencyNote')}
              engines={engines}
              value={(sample) => sample.run_ms}
              spread={(one) => one.run_ms}
              format={milliseconds}
            />
            <MemoryStrip engines={engines} />
            <Phases engines={engines} />
          </div>
        </>
      )}
      {(result.finished || result.isolation.length > 0) && <IsolationTable result={result} />}
      {any && <SamplesTable result={result} />}
    </>
  );
}

function Past({ results, current }: { results: readonly CompareResult[]; current: string | undefined }): ReactNode {
  return (
    <Card title={t('results')}>
      <ul className="divide-y divide-line">
        {results.map((one) => (
          <li key={one.id} className="flex min-h-8 flex-wrap items-center gap-x-4">
            <Link
              to={paths.compare(one.id)}
              aria-current={one.id === current ? 'true' : undefined}
              className="font-semibold hover:underline aria-[current]:text-accent"
            >
              {t('resultOf', { image: one.image, runs: one.runs })}
            </Link>
            <span className="mono text-muted">{one.command.join(' ')}</span>
            <span className="ml-auto text-subtle">
              <Ago at={one.started_at} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
