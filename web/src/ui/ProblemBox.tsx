import type { ReactNode } from 'react';

import { Banner } from './Banner.tsx';
import { Button } from './Button.tsx';
import { t } from './messages.ts';
import { Prose } from './Prose.tsx';

type ProblemFacts = { detail: string; hint?: string | null | undefined; request_id?: string | undefined };

/** What did not work, in the smallest box that it concerns. */
export function ProblemBox({
  title,
  problem,
  onRetry,
}: {
  title: string;
  problem: ProblemFacts;
  onRetry?: () => void;
}): ReactNode {
  return (
    <Banner kind="danger" title={title} live action={onRetry && <Button onClick={onRetry}>{t('retry')}</Button>}>
      <p>
        <Prose text={problem.detail} />
      </p>
      {problem.hint && (
        <p>
          <Prose text={problem.hint} />
        </p>
      )}
      {problem.request_id && <p className="mono text-subtle">{t('requestId', { id: problem.request_id })}</p>}
    </Banner>
  );
}
