import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect, useState } from 'react';
import { useStore } from 'zustand';

import { sessionQuery } from '@/api/queries.ts';
import type { EngineInfo } from '@/api/schema.gen.ts';
import { timeOfDay } from '@/lib/format.ts';
import { live, useEngines } from '@/live/stores.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Button } from '@/ui/Button.tsx';
import { Prose } from '@/ui/Prose.tsx';

import { t } from './messages.ts';

const OFFLINE_AFTER_MS = 5000;

/** What is wrong with the connection or an engine, above every page. */
export function Banners(): ReactNode {
  const { state, since, outdated } = useStore(live.connection);
  const { items } = useEngines();
  const { data: session } = useQuery(sessionQuery);
  const [long, setLong] = useState(false);
  const lost = state === 'reconnecting';
  useEffect(() => {
    if (!lost) {
      setLong(false);
      return undefined;
    }
    const timer = setTimeout(() => setLong(true), OFFLINE_AFTER_MS);
    return () => clearTimeout(timer);
  }, [lost]);
  const down = items.filter((engine) => engine.state === 'unreachable');
  return (
    <div className="flex flex-col gap-2 not-empty:pt-3">
      {long && (
        <Banner kind="warn" title={t('offlineTitle')} live>
          {t('offlineBody', { time: timeOfDay(since) })}
        </Banner>
      )}
      {outdated && (
        <Banner
          title={t('staleTitle')}
          live
          action={<Button onClick={() => window.location.reload()}>{t('reload')}</Button>}
        >
          {t('staleBody')}
        </Banner>
      )}
      {session?.me?.role === 'viewer' && <Banner title={t('readOnly', { role: session.me.role })} />}
      {down.map((engine) => (
        <EngineBanner key={engine.name} engine={engine} />
      ))}
    </div>
  );
}

function EngineBanner({ engine }: { engine: EngineInfo }): ReactNode {
  return (
    <Banner kind="danger" title={t('engineDown', { engine: engine.title })} live>
      {engine.reason && (
        <p>
          <Prose text={engine.reason} />
        </p>
      )}
      {engine.hint && (
        <p>
          <Prose text={engine.hint} />
        </p>
      )}
    </Banner>
  );
}
