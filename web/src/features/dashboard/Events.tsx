import { type ReactNode, useEffect, useState } from 'react';
import { Link } from 'react-router';

import type { EngineEvent } from '@/api/schema.gen.ts';
import { shortId } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { watchEvents } from '@/live/stores.ts';
import { Card } from '@/ui/Card.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { Ago } from '@/ui/Time.tsx';

import { t } from './messages.ts';

const SHOWN = 8;
/** What nobody needs to know: probes of health checks. */
const NOISE = /^exec_/;

/** The newest events of both engines, newest first. */
export function Events({ engines }: { engines: readonly string[] }): ReactNode {
  const [events, setEvents] = useState<readonly EngineEvent[]>([]);
  const key = engines.join(',');
  useEffect(() => {
    const byEngine = new Map<string, readonly EngineEvent[]>();
    return watchEvents(key ? key.split(',') : [], (engine, batch, fresh) => {
      const useful = batch.filter((event) => !NOISE.test(event.action));
      byEngine.set(engine, [...(fresh ? [] : (byEngine.get(engine) ?? [])), ...useful].slice(-SHOWN));
      setEvents([...byEngine.values()].flat().toSorted((a, b) => b.time.localeCompare(a.time)));
    });
  }, [key]);
  return (
    <Card title={t('events')}>
      {events.length === 0 && <p className="text-muted">{t('eventsNone')}</p>}
      <ol className="divide-y divide-line">
        {events.slice(0, SHOWN).map((event) => (
          <li
            key={`${event.engine}:${event.time}:${event.kind}:${event.action}:${event.id}`}
            className="flex min-h-8 flex-wrap items-center gap-x-4"
          >
            <span className="w-24 text-subtle">
              <Ago at={event.time} />
            </span>
            <EngineMark engine={event.engine} className="w-16" />
            <span className="w-32">
              {event.kind} {event.action}
            </span>
            <span className="min-w-0 truncate font-semibold">
              {event.kind === 'container' && event.action !== 'destroy' ? (
                <Link to={paths.container(event.engine, event.id)} className="hover:underline">
                  {event.name ?? shortId(event.id)}
                </Link>
              ) : (
                (event.name ?? shortId(event.id))
              )}
            </span>
            {event.exit_code !== null && event.exit_code !== undefined && (
              <span className={event.exit_code === 0 ? 'text-subtle' : 'text-danger'}>
                {t('exit', { code: String(event.exit_code) })}
              </span>
            )}
          </li>
        ))}
      </ol>
    </Card>
  );
}
