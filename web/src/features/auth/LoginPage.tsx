import type { ReactNode } from 'react';
import { useNavigate, useSearchParams } from 'react-router';

import { paths } from '@/lib/paths.ts';

import { AuthFrame } from './AuthFrame.tsx';
import { t } from './messages.ts';
import { SignInForm } from './SignInForm.tsx';

/** Only a path of this page: an address elsewhere must not be reachable through a link to the sign-in. */
function safeNext(next: string | null): string {
  return next?.startsWith('/') && !next.startsWith('//') && !next.includes('\\') ? next : paths.dashboard();
}

export function LoginPage(): ReactNode {
  const navigate = useNavigate();
  const [search] = useSearchParams();
  return (
    <AuthFrame title={t('loginTitle')}>
      <SignInForm onDone={() => void navigate(safeNext(search.get('next')), { replace: true })} />
    </AuthFrame>
  );
}
