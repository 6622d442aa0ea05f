import type { ReactNode } from 'react';
import { Link } from 'react-router';

import { paths } from '@/lib/paths.ts';
import { buttonClass } from '@/ui/Button.tsx';
import { EmptyState } from '@/ui/EmptyState.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';

import { t } from './messages.ts';

export function NotFoundPage(): ReactNode {
  return (
    <>
      <PageHeader title={t('notFound')} />
      <EmptyState
        title={t('notFoundBody')}
        action={
          <Link to={paths.dashboard()} className={buttonClass('primary')}>
            {t('toDashboard')}
          </Link>
        }
      />
    </>
  );
}
