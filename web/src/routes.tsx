import { createBrowserRouter, type LoaderFunctionArgs, redirect } from 'react-router';

import { ErrorPage } from './app/ErrorPage.tsx';
import { Shell } from './app/Shell.tsx';
import { Splash } from './app/Splash.tsx';
import { sessionQuery } from './api/queries.ts';
import { queryClient } from './api/query-client.ts';
import { paths } from './lib/paths.ts';

const TRIES = 3;
const PAUSE_MS = 300;

/**
 * Loads a part of the page, more than once if need be: Chromium drops every transfer when a network interface of the
 * machine comes or goes (ERR_NETWORK_CHANGED), which each start of a container may bring about.
 */
async function patiently<T>(load: () => Promise<T>): Promise<T> {
  for (let left = TRIES - 1; left > 0; left -= 1) {
    try {
      return await load();
    } catch {
      await new Promise((resolve) => {
        setTimeout(resolve, PAUSE_MS);
      });
    }
  }
  return load();
}

/** Sends people without a session to where they get one, and remembers where they wanted to go. */
async function requireSession({ request }: LoaderFunctionArgs): Promise<null> {
  const session = await queryClient.ensureQueryData(sessionQuery);
  const url = new URL(request.url);
  if (session.setup_required) throw redirect(paths.setup() + url.hash);
  if (!session.me) throw redirect(paths.login(url.pathname === '/' ? undefined : url.pathname + url.search));
  if (session.me.must_change_password) throw redirect(paths.password());
  return null;
}

/** A new password is asked for of those who have a one-time password. */
async function requireOneTimePassword(): Promise<null> {
  const session = await queryClient.ensureQueryData(sessionQuery);
  if (!session.me) throw redirect(paths.login());
  if (!session.me.must_change_password) throw redirect(paths.dashboard());
  return null;
}

/** Set-up and sign-in are only for those who need them. */
async function requireNoSession({ request }: LoaderFunctionArgs): Promise<null> {
  const session = await queryClient.ensureQueryData(sessionQuery);
  const { pathname } = new URL(request.url);
  if (session.me) throw redirect(paths.dashboard());
  if (session.setup_required && pathname !== paths.setup()) throw redirect(paths.setup());
  if (!session.setup_required && pathname === paths.setup()) throw redirect(paths.login());
  return null;
}

export const router = createBrowserRouter([
  {
    HydrateFallback: Splash,
    ErrorBoundary: ErrorPage,
    children: [
      {
        path: '/setup',
        loader: requireNoSession,
        lazy: async () => ({ Component: (await patiently(() => import('./features/auth/SetupPage.tsx'))).SetupPage }),
      },
      {
        path: '/login',
        loader: requireNoSession,
        lazy: async () => ({ Component: (await patiently(() => import('./features/auth/LoginPage.tsx'))).LoginPage }),
      },
      {
        path: '/password',
        loader: requireOneTimePassword,
        lazy: async () => ({
          Component: (await patiently(() => import('./features/auth/PasswordPage.tsx'))).PasswordPage,
        }),
      },
      {
        Component: Shell,
        loader: requireSession,
        shouldRevalidate: () => false,
        children: [
          {
            ErrorBoundary: ErrorPage,
            children: [
              {
                index: true,
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/dashboard/DashboardPage.tsx'))).DashboardPage,
                }),
              },
              {
                path: 'containers',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/containers/ContainersPage.tsx'))).ContainersPage,
                }),
              },
              {
                path: 'containers/new',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/create/CreatePage.tsx'))).CreatePage,
                }),
              },
              {
                path: 'containers/:engine/:id',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/container/ContainerPage.tsx'))).ContainerPage,
                }),
                children: [
                  {
                    index: true,
                    lazy: async () => ({
                      Component: (await patiently(() => import('./features/container/OverviewTab.tsx'))).OverviewTab,
                    }),
                  },
                  {
                    path: 'logs',
                    lazy: async () => ({
                      Component: (await patiently(() => import('./features/logs/LogsTab.tsx'))).LogsTab,
                    }),
                  },
                  {
                    path: 'stats',
                    lazy: async () => ({
                      Component: (await patiently(() => import('./features/stats/StatsTab.tsx'))).StatsTab,
                    }),
                  },
                  {
                    path: 'inside',
                    lazy: async () => ({
                      Component: (await patiently(() => import('./features/inside/InsideTab.tsx'))).InsideTab,
                    }),
                  },
                  {
                    path: 'inspect',
                    lazy: async () => ({
                      Component: (await patiently(() => import('./features/inspect/InspectTab.tsx'))).InspectTab,
                    }),
                  },
                ],
              },
              {
                path: 'images',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/images/ImagesPage.tsx'))).ImagesPage,
                }),
              },
              {
                path: 'volumes',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/volumes/VolumesPage.tsx'))).VolumesPage,
                }),
              },
              {
                path: 'compare',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/compare/ComparePage.tsx'))).ComparePage,
                }),
              },
              {
                path: 'settings',
                lazy: async () => ({
                  Component: (await patiently(() => import('./features/settings/SettingsPage.tsx'))).SettingsPage,
                }),
              },
              {
                path: '*',
                lazy: async () => ({
                  Component: (await patiently(() => import('./app/NotFoundPage.tsx'))).NotFoundPage,
                }),
              },
            ],
          },
        ],
      },
    ],
  },
]);
