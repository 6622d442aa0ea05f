import type { ReactNode } from 'react';
import { useRouteError } from 'react-router';

import { problemFrom } from '@/api/errors.ts';
import { Button } from '@/ui/Button.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';

import { t } from './messages.ts';

function isChunkError(error: unknown): boolean {
  return error instanceof TypeError && /import|module|fetch dynamically/i.test(error.message);
}

/** What is shown in place of a page that could not be drawn. */
export function ErrorPage(): ReactNode {
  const error = useRouteError();
  const chunk = isChunkError(error);
  const problem = problemFrom(error);
  return (
    <div className="flex flex-col gap-4 p-4">
      <PageHeader title={t('crashed')} />
      <ProblemBox
        title={chunk ? t('staleTitle') : t('crashedBody')}
        problem={chunk ? { detail: t('chunkBody') } : problem}
      />
      <div>
        <Button variant="primary" onClick={() => window.location.reload()}>
          {t('reload')}
        </Button>
      </div>
    </div>
  );
}
