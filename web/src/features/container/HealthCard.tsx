import type { ReactNode } from 'react';

import type { HealthDetail } from '@/api/schema.gen.ts';
import { quote } from '@/lib/shell.ts';
import { Card } from '@/ui/Card.tsx';
import { StateBadge } from '@/ui/StateBadge.tsx';
import { Ago } from '@/ui/Time.tsx';

import { Facts } from './Facts.tsx';
import { t } from './messages.ts';

const SHOWN = 5;

/** What the health check says, with its last probes. */
export function HealthCard({ health }: { health: HealthDetail }): ReactNode {
  return (
    <Card title={t('health')} actions={<StateBadge state="running" health={health.status} />}>
      <Facts
        facts={[
          [
            t('healthTest'),
            <code key="test" className="mono break-all">
              {health.test.map(quote).join(' ')}
            </code>,
          ],
          health.failing_streak > 0 ? [t('health'), t('failing', { count: health.failing_streak })] : null,
        ]}
      />
      <ul className="mt-2 divide-y divide-line">
        {health.probes
          .slice(-SHOWN)
          .toReversed()
          .map((probe, index) => (
            <li key={`${probe.started_at ?? ''}-${String(index)}`} className="py-1">
              <span className={probe.exit_code === 0 ? 'text-ok' : 'text-danger'}>
                {t('probe', { code: String(probe.exit_code) })}
              </span>{' '}
              <span className="text-subtle">
                <Ago at={probe.started_at} />
              </span>
              {probe.output && (
                <pre className="mono max-h-24 overflow-auto break-all whitespace-pre-wrap text-muted">
                  {probe.output}
                </pre>
              )}
            </li>
          ))}
      </ul>
    </Card>
  );
}
