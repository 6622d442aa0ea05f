import type { ReactNode } from 'react';

import { Card } from '@/ui/Card.tsx';
import { Code } from '@/ui/Code.tsx';

import type { Chosen } from './evidence.tsx';
import { t } from './messages.ts';

/** What the chosen thing means, where it was read, and how to see it oneself. */
export function ShowMe({ chosen }: { chosen: Chosen | null }): ReactNode {
  return (
    <Card title={t('showMe')}>
      <div aria-live="polite">
        {chosen ? (
          <div className="flex flex-col gap-2">
            <p className="font-semibold break-words">{chosen.title}</p>
            <p>{chosen.evidence.sentence}</p>
            {chosen.evidence.source && (
              <p>
                <span className="caps block">{t('source')}</span>
                <span className="mono break-all text-muted">{chosen.evidence.source}</span>
              </p>
            )}
            {chosen.evidence.command && (
              <div>
                <span className="caps block">{t('command')}</span>
                <Code text={chosen.evidence.command} what={t('command')} />
              </div>
            )}
          </div>
        ) : (
          <p className="text-muted">{t('showHint')}</p>
        )}
      </div>
    </Card>
  );
}
