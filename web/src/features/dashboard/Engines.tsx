import type { ReactNode } from 'react';

import type { EngineInfo, EngineState } from '@/api/schema.gen.ts';
import { number, sentences } from '@/lib/format.ts';
import { useEngines } from '@/live/stores.ts';
import { Card } from '@/ui/Card.tsx';
import { Tag } from '@/ui/Chip.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { Prose } from '@/ui/Prose.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';
import { Since } from '@/ui/Time.tsx';

import { t } from './messages.ts';

const STATES: Record<EngineState, { word: string; tone: 'ok' | 'warn' | 'danger' | 'muted' }> = {
  connected: { word: t('connected'), tone: 'ok' },
  starting: { word: t('starting'), tone: 'warn' },
  unreachable: { word: t('unreachable'), tone: 'danger' },
  absent: { word: t('absent'), tone: 'muted' },
};

/** Both engines with version and state; one that is missing says why and how to add it. */
export function Engines(): ReactNode {
  const { items, ready } = useEngines();
  return (
    <Card title={t('engines')}>
      {!ready && <Skeleton rows={2} />}
      <ul className="divide-y divide-line">
        {items.map((engine) => (
          <Row key={engine.name} engine={engine} />
        ))}
      </ul>
    </Card>
  );
}

function Row({ engine }: { engine: EngineInfo }): ReactNode {
  const state = STATES[engine.state];
  const { details, counts } = engine;
  return (
    <li className="grid items-center gap-x-4 gap-y-1 py-2 sm:grid-cols-[6rem_8rem_1fr_auto]">
      <EngineMark engine={engine.name} className="font-semibold" />
      <span>
        <Tag tone={state.tone} title={engine.endpoint}>
          {state.word}
        </Tag>
      </span>
      <span className="min-w-0 text-muted">
        {details && engine.state === 'connected' ? (
          <>
            {t('version', { version: details.version, api: details.api_version })}
            <span className="text-subtle max-lg:hidden">
              {' '}
              · {details.storage_driver} · {details.default_runtime}
              <span className="mono max-xl:hidden"> · {engine.endpoint}</span>
            </span>
          </>
        ) : (
          <Prose text={sentences(engine.reason, engine.hint)} />
        )}
      </span>
      <span className="text-muted">
        {engine.state === 'connected' ? (
          t('counts', { running: number(counts.containers_running), all: number(counts.containers) })
        ) : (
          <Since at={engine.since} />
        )}
      </span>
    </li>
  );
}
