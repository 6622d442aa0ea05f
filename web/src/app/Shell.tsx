import { useQuery } from '@tanstack/react-query';
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from 'react';
import { Outlet, ScrollRestoration, useLocation, useNavigate, useNavigation } from 'react-router';
import { useStore } from 'zustand';

import { sessionQuery } from '@/api/queries.ts';
import { sessionEnd } from '@/api/session.ts';
import { type Shortcuts, useShortcuts } from '@/lib/keys.ts';
import { paths } from '@/lib/paths.ts';
import { live } from '@/live/stores.ts';
import { ScrollHost } from '@/ui/scroll.ts';
import { ToastStack } from '@/ui/ToastStack.tsx';

import { Banners } from './Banners.tsx';
import { BottomBar } from './BottomBar.tsx';
import { ConfirmHost } from './ConfirmHost.tsx';
import { t } from './messages.ts';
import { JobToasts } from './JobToasts.tsx';
import { NAV } from './nav.ts';
import { ShortcutsDialog } from './ShortcutsDialog.tsx';
import { Sidebar } from './Sidebar.tsx';
import { TopBar } from './TopBar.tsx';

const SessionDialog = lazy(async () => ({
  default: (await import('@/features/auth/SessionDialog.tsx')).SessionDialog,
}));

/** The frame around every page of someone who is signed in. */
export function Shell(): ReactNode {
  const main = useRef<HTMLElement>(null);
  const [help, setHelp] = useState(false);
  const { data: session } = useQuery(sessionQuery);
  const ended = useStore(sessionEnd, (state) => state.ended);
  const navigate = useNavigate();
  const busy = useNavigation().state !== 'idle';

  useEffect(() => {
    live.open();
    return () => live.dispose();
  }, []);
  useFocusOnNavigation(main);

  const shortcuts: Record<string, () => void> = {
    '?': () => setHelp(true),
    '/': () => main.current?.querySelector<HTMLElement>('input[type=search]')?.focus(),
    n: () => void navigate(paths.containerNew()),
  };
  for (const { key, to } of NAV) shortcuts[`g ${key}`] = () => void navigate(to);
  useShortcuts(shortcuts satisfies Shortcuts);

  if (!session?.me) return null;
  return (
    <div className="flex h-dvh flex-col">
      <a
        href="#main"
        className="sr-only z-50 rounded-control bg-accent p-2 text-on-accent focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        {t('skip')}
      </a>
      {busy && (
        <div
          role="progressbar"
          aria-label={t('loading')}
          className="fixed inset-x-0 top-0 z-50 h-0.5 animate-pulse bg-accent"
        />
      )}
      <TopBar me={session.me} />
      <div className="flex min-h-0 flex-1">
        <Sidebar />
        <main
          ref={main}
          id="main"
          tabIndex={-1}
          className="flex min-w-0 flex-1 scroll-pt-28 flex-col overflow-x-clip overflow-y-auto px-6 pb-6 *:shrink-0 max-sm:px-4"
        >
          <ScrollHost value={main}>
            <Banners />
            <Outlet />
          </ScrollHost>
        </main>
      </div>
      <BottomBar />
      <ToastStack />
      <JobToasts />
      <ConfirmHost />
      {help && <ShortcutsDialog onClose={() => setHelp(false)} />}
      {ended && (
        <Suspense>
          <SessionDialog name={session.me.name} />
        </Suspense>
      )}
      <ScrollRestoration />
    </div>
  );
}

/** After a change of page the focus goes to its heading, so that screen readers say where one is. */
function useFocusOnNavigation(main: React.RefObject<HTMLElement | null>): void {
  const { pathname } = useLocation();
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    // A tab of the same object is not another page: the focus stays on the tab.
    const object = (path: string): string => path.split('/').slice(0, 4).join('/');
    const samePage = pathname.startsWith('/containers/') && object(pathname) === object(before.current);
    before.current = pathname;
    if (samePage) return;
    main.current?.scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true });
  }, [pathname, main]);
}
