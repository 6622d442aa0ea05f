import { type ReactNode, useEffect, useState } from 'react';
import { Link } from 'react-router';

import type { ContainerSummary, HostFigures } from '@/api/schema.gen.ts';
import { bytes, percent, sentences } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { hostFeed, useEngines } from '@/live/stores.ts';
import { buttonClass } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { Prose } from '@/ui/Prose.tsx';
import { StateBadge } from '@/ui/StateBadge.tsx';
import { Ago } from '@/ui/Time.tsx';

import { t } from './messages.ts';
import { type Trouble, troubles } from './trouble.ts';

const SHOWN = 8;
const DISKS_EVERY_MS = 15_000;

/** The host's figures now and then: disks do not fill within a second. */
function useSlowHost(): HostFigures | null {
  const [host, setHost] = useState<HostFigures | null>(hostFeed.series.last);
  useEffect(() => {
    const look = (): void => setHost(hostFeed.series.last);
    const first = setTimeout(look, 1500);
    const timer = setInterval(look, DISKS_EVERY_MS);
    return () => {
      clearTimeout(first);
      clearInterval(timer);
    };
  }, []);
  return host;
}

/** What someone should look at, each with the one step that helps. */
export function Attention({ containers }: { containers: readonly ContainerSummary[] }): ReactNode {
  const { items: engines } = useEngines();
  const list = troubles(containers, engines, useSlowHost());
  return (
    <Card title={t('attention')} note={list.length > 0 ? String(list.length) : undefined}>
      {list.length === 0 && <p className="text-muted">{t('allWell')}</p>}
      <ul className="divide-y divide-line">
        {list.slice(0, SHOWN).map((trouble) => (
          <li
            key={`${trouble.kind}:${trouble.key}`}
            className="grid grid-cols-[1fr_auto] items-center gap-x-4 gap-y-0.5 py-1.5 md:grid-cols-[9rem_11rem_1fr_auto]"
          >
            <Row trouble={trouble} />
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Row({ trouble }: { trouble: Trouble }): ReactNode {
  if (trouble.kind === 'disk') {
    return (
      <>
        <span className="text-warn">{t('warning')}</span>
        <span className="font-semibold max-md:col-span-2">{t('diskFull', { percent: percent(trouble.percent) })}</span>
        <span className="text-muted max-md:col-span-2">
          {t('diskFree', { mount: trouble.mount, free: bytes(trouble.freeBytes) })}
        </span>
      </>
    );
  }
  if (trouble.kind === 'engine') {
    return (
      <>
        <span className="text-danger">{t('engineDown')}</span>
        <EngineMark engine={trouble.engine.name} className="font-semibold max-md:col-span-2" />
        <span className="text-muted max-md:col-span-2">
          <Prose text={sentences(trouble.engine.reason, trouble.engine.hint)} />
        </span>
      </>
    );
  }
  const { container } = trouble;
  const ended = container.state === 'exited' || container.state === 'dead';
  return (
    <>
      <StateBadge
        state={container.state}
        health={container.health}
        exitCode={container.exit_code}
        oomKilled={container.oom_killed}
      />
      <span className="flex min-w-0 items-center gap-2 max-md:col-span-2 max-md:row-start-2">
        <Link to={paths.container(container.engine, container.id)} className="truncate font-semibold hover:underline">
          {container.name}
        </Link>
        <EngineMark engine={container.engine} className="text-muted" />
      </span>
      <span className="min-w-0 text-muted max-md:col-span-2 max-md:row-start-3" title={container.state_text}>
        {ended
          ? container.state_text
          : container.restart_count > 0
            ? t('restarts', { count: container.restart_count })
            : container.health === 'unhealthy'
              ? t('probeFails')
              : container.state_text}
        {ended && container.finished_at && (
          <>
            {' '}
            · <Ago at={container.finished_at} />
          </>
        )}
      </span>
      <Link
        to={paths.container(container.engine, container.id, ended ? 'overview' : 'logs')}
        className={buttonClass()}
        aria-label={`${ended ? t('explain') : t('logs')}: ${container.name}`}
      >
        {ended ? t('explain') : t('logs')}
      </Link>
    </>
  );
}
