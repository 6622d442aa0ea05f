import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useMemo, useState } from 'react';
import { useParams, useSearchParams } from 'react-router';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import type { Inside } from '@/api/schema.gen.ts';
import { useContainer } from '@/api/useContainer.ts';
import { timeOfDay } from '@/lib/format.ts';
import { Banner } from '@/ui/Banner.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';
import { PHONE, useMedia } from '@/ui/scroll.ts';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { Capabilities } from './Capabilities.tsx';
import { Cgroup } from './Cgroup.tsx';
import { Confinement, Network } from './Confinement.tsx';
import { Choice, type Chosen } from './evidence.tsx';
import { Layers, Mounts } from './Files.tsx';
import { t } from './messages.ts';
import { Namespaces } from './Namespaces.tsx';
import { Outline } from './Outline.tsx';
import { Processes } from './Processes.tsx';
import { ShowMe } from './ShowMe.tsx';

const REFRESH_MS = 2000;

/** What the container is made of, from the live kernel. */
export function InsideTab(): ReactNode {
  const { engine = '', id: container = '' } = useParams();
  const [search, setSearch] = useSearchParams();
  const phone = useMedia(PHONE);
  const { summary } = useContainer(engine, container);
  const runs = summary?.state === 'running' || summary?.state === 'paused';
  const { data, error, refetch } = useQuery({
    queryKey: [engine, 'containers', container, 'inside', runs],
    queryFn: () =>
      unwrap(
        api.GET('/api/v1/engines/{engine}/containers/{container}/inside', { params: { path: { engine, container } } }),
      ),
    // There is no topic for it: the kernel tells nobody when a value changes.
    refetchInterval: runs ? REFRESH_MS : false,
    placeholderData: (before) => before,
  });
  const outline = phone || search.get('form') === 'outline';
  if (!data) {
    return error ? (
      <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} onRetry={() => void refetch()} />
    ) : (
      <Skeleton rows={8} />
    );
  }
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-3">
        {!phone && (
          <RadioGroup
            label={t('view')}
            value={outline ? 'outline' : 'picture'}
            onChange={(form) => setSearch({ ...Object.fromEntries(search), form }, { replace: true })}
            options={[
              { value: 'picture', label: t('picture') },
              { value: 'outline', label: t('outline') },
            ]}
          />
        )}
        {data.certainty === 'measured' && (
          <span className="text-xs text-subtle">{t('measured', { time: timeOfDay(data.time_ms) })}</span>
        )}
      </div>
      {error && <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} />}
      {data.certainty === 'declared' && (
        <Banner kind="warn" title={t('declared')}>
          {t('declaredBody')}
        </Banner>
      )}
      {!data.pid && <Banner>{t('notRunning')}</Banner>}
      {data.notes.map((note) => (
        <Banner key={note}>{note}</Banner>
      ))}
      {outline ? <Outline inside={data} /> : <Picture inside={data} />}
    </div>
  );
}

function Picture({ inside }: { inside: Inside }): ReactNode {
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const choice = useMemo(() => ({ chosen: chosen?.id ?? null, choose: setChosen }), [chosen]);
  const { engine } = inside;
  return (
    <Choice value={choice}>
      <div className="grid items-start gap-3 lg:grid-cols-[15rem_minmax(0,1fr)_18rem] max-lg:md:grid-cols-2">
        <div className="flex min-w-0 flex-col gap-3">
          <Processes processes={inside.processes} />
          <Capabilities facts={inside.capabilities} />
          <Confinement facts={inside.confinement} maps={inside.id_maps} />
        </div>
        <div className="flex min-w-0 flex-col gap-3">
          <Namespaces namespaces={inside.namespaces} engine={engine} />
          <Layers layers={inside.layers} engine={engine} />
          <Mounts mounts={inside.mounts} />
        </div>
        <div className="flex min-w-0 flex-col gap-3 lg:sticky lg:top-(--head)">
          <ShowMe chosen={chosen} />
          <Cgroup cgroup={inside.cgroup} engine={engine} />
          <Network interfaces={inside.interfaces} sockets={inside.sockets} />
        </div>
      </div>
    </Choice>
  );
}
