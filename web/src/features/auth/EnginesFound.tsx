import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { problemFrom } from '@/api/errors.ts';
import { capabilitiesQuery } from '@/api/queries.ts';
import type { EngineState } from '@/api/schema.gen.ts';
import { paths } from '@/lib/paths.ts';
import { buttonClass } from '@/ui/Button.tsx';
import { Tag } from '@/ui/Chip.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { Prose } from '@/ui/Prose.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { AuthFrame } from './AuthFrame.tsx';
import { t } from './messages.ts';

const STATES: Record<EngineState, { word: string; tone: 'ok' | 'warn' | 'danger' | 'muted' }> = {
  connected: { word: t('connected'), tone: 'ok' },
  starting: { word: t('starting'), tone: 'warn' },
  unreachable: { word: t('unreachable'), tone: 'danger' },
  absent: { word: t('absent'), tone: 'muted' },
};

/** The last step of the first run: what there is to work with. */
export function EnginesFound(): ReactNode {
  const { data, error } = useQuery(capabilitiesQuery);
  return (
    <AuthFrame title={t('done')}>
      <p className="text-muted">{t('doneBody')}</p>
      {error && <ProblemBox title={t('enginesFound')} problem={problemFrom(error)} />}
      {!data && !error && <Skeleton rows={2} />}
      <ul aria-label={t('enginesFound')} className="flex flex-col gap-2">
        {data?.engines.map((engine) => (
          <li key={engine.name} className="rounded-card border border-line p-3">
            <p className="flex items-center gap-3">
              <EngineMark engine={engine.name} className="font-semibold" />
              <span className="text-muted">{engine.details?.version}</span>
              <Tag tone={STATES[engine.state].tone} className="ml-auto">
                {STATES[engine.state].word}
              </Tag>
            </p>
            <p className="mono mt-1 break-all text-subtle">{engine.endpoint}</p>
            {engine.reason && (
              <p className="text-muted">
                <Prose text={engine.reason} />
              </p>
            )}
            {engine.hint && (
              <p className="text-muted">
                <Prose text={engine.hint} />
              </p>
            )}
          </li>
        ))}
      </ul>
      <Link to={paths.dashboard()} className={buttonClass('primary')}>
        {t('start')}
      </Link>
    </AuthFrame>
  );
}
