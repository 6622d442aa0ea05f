import { useQuery } from '@tanstack/react-query';
import { Plus } from 'lucide-react';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { capabilitiesQuery } from '@/api/queries.ts';
import { paths } from '@/lib/paths.ts';
import { useEngineChoice } from '@/live/engine-choice.ts';
import { useContainers, useStatsFeeds } from '@/live/stores.ts';
import { buttonClass } from '@/ui/Button.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { Attention } from './Attention.tsx';
import { Engines } from './Engines.tsx';
import { Events } from './Events.tsx';
import { HostFigures } from './HostFigures.tsx';
import { t } from './messages.ts';
import { Tiles } from './Tiles.tsx';
import { Top } from './Top.tsx';

/** How the machine, its engines and its containers are, and what needs someone. */
export function DashboardPage(): ReactNode {
  const { engines } = useEngineChoice();
  const { items, ready } = useContainers(engines);
  const { data } = useQuery(capabilitiesQuery);
  useStatsFeeds(engines);
  const host = data?.host;
  return (
    <>
      <PageHeader
        title={t('title')}
        note={
          host &&
          t('host', {
            name: host.hostname,
            system: host.operating_system,
            kernel: host.kernel_version,
            cgroup: host.cgroup_mode,
          })
        }
        actions={
          <Link to={paths.containerNew()} className={buttonClass('primary')}>
            <Plus size={16} aria-hidden />
            {t('create')}
          </Link>
        }
      />
      <div className="flex flex-col gap-3">
        {ready ? <Tiles containers={items} /> : <Skeleton rows={1} rowClass="h-24" />}
        <HostFigures />
        <Engines />
        {ready && items.length === 0 ? (
          <Start />
        ) : (
          <div className="grid items-start gap-3 lg:grid-cols-[2fr_1fr]">
            <Attention containers={items} />
            <Top containers={items} />
          </div>
        )}
        <Events engines={engines} />
      </div>
    </>
  );
}

function Start(): ReactNode {
  return (
    <EmptyState
      title={t('emptyTitle')}
      action={
        <>
          <Link to={paths.containerNew()} className={buttonClass('primary')}>
            {t('emptyRun')}
          </Link>
          <Link to={paths.images()} className={buttonClass()}>
            {t('emptyImages')}
          </Link>
          <Link to={paths.compare()} className={buttonClass()}>
            {t('emptyCompare')}
          </Link>
        </>
      }
    >
      {t('emptyBody')}
    </EmptyState>
  );
}
