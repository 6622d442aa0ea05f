import { type ReactNode, useEffect } from 'react';

import { Logo } from '@/ui/Logo.tsx';

import { t } from './messages.ts';

/** The page around sign-in and set-up. */
export function AuthFrame({ title, children }: { title: string; children: ReactNode }): ReactNode {
  useEffect(() => {
    document.title = `${title} · ${t('product')}`;
  }, [title]);
  return (
    <main className="flex min-h-dvh items-center justify-center p-4">
      <div className="flex w-full max-w-100 flex-col gap-5 rounded-card border border-line bg-surface p-6">
        <p className="flex items-center gap-2.5 font-semibold">
          <Logo />
          {t('product')}
        </p>
        <h1 tabIndex={-1} className="text-xl font-semibold">
          {title}
        </h1>
        {children}
      </div>
    </main>
  );
}
