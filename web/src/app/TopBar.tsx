import { ListTodo, LogOut, Monitor, Moon, Settings, Sun, User } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { useStore } from 'zustand';

import { api } from '@/api/client.ts';
import { queryClient } from '@/api/query-client.ts';
import type { Me } from '@/api/schema.gen.ts';
import { useAction } from '@/api/useAction.ts';
import { paths } from '@/lib/paths.ts';
import { appearance, setTheme, type Theme } from '@/lib/theme.ts';
import { useJobs } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Logo } from '@/ui/Logo.tsx';
import { Menu } from '@/ui/Menu.tsx';

import { ConnectionPill } from './ConnectionPill.tsx';
import { EngineSwitch } from './EngineSwitch.tsx';
import { JobsDrawer } from './JobsDrawer.tsx';
import { t } from './messages.ts';

const THEME_ICONS: Record<Theme, ReactNode> = {
  system: <Monitor size={16} aria-hidden />,
  light: <Sun size={16} aria-hidden />,
  dark: <Moon size={16} aria-hidden />,
};
const THEME_WORDS: Record<Theme, string> = { system: t('system'), light: t('light'), dark: t('dark') };
const THEME_ORDER: readonly Theme[] = ['system', 'light', 'dark'];

export function TopBar({ me }: { me: Me }): ReactNode {
  const { items } = useJobs();
  const [jobsOpen, setJobsOpen] = useState(false);
  const theme = useStore(appearance, (state) => state.theme);
  const navigate = useNavigate();
  const { act } = useAction();
  const busy = items.filter((job) => job.state === 'running' || job.state === 'queued').length;
  const signOut = async (): Promise<void> => {
    if (!(await act(() => api.POST('/api/v1/auth/logout')))) return;
    queryClient.clear();
    await navigate(paths.login());
  };
  return (
    <header className="flex h-12 shrink-0 items-center gap-4 border-b border-line bg-surface px-4 max-sm:gap-2 max-sm:px-2 pointer-coarse:h-14">
      <Link to={paths.dashboard()} className="flex shrink-0 items-center gap-2.5 text-base font-semibold lg:w-46">
        <Logo />
        <span className="max-lg:sr-only">{t('product')}</span>
      </Link>
      <EngineSwitch />
      <div className="ml-auto flex items-center gap-2 max-sm:gap-0.5">
        <ConnectionPill />
        <Button
          variant="ghost"
          icon={<ListTodo size={16} aria-hidden />}
          aria-label={busy > 0 ? t('jobs', { count: busy }) : t('jobsTitle')}
          className="max-sm:px-2"
          onClick={() => setJobsOpen(true)}
        >
          <span className="max-md:hidden">{busy > 0 ? t('jobs', { count: busy }) : t('jobsTitle')}</span>
          {busy > 0 && <span className="md:hidden">{busy}</span>}
        </Button>
        <Menu
          label={t('account', { name: me.name })}
          className="max-md:px-2"
          items={[
            ...THEME_ORDER.map((one) => ({
              label: theme === one ? `${THEME_WORDS[one]} ✓` : THEME_WORDS[one],
              icon: THEME_ICONS[one],
              onSelect: () => setTheme(one),
            })),
            'separator' as const,
            {
              label: t('settings'),
              icon: <Settings size={16} aria-hidden />,
              onSelect: () => void navigate(paths.settings()),
            },
            { label: t('signOut'), icon: <LogOut size={16} aria-hidden />, onSelect: () => void signOut() },
          ]}
        >
          <User size={16} aria-hidden />
          <span className="max-md:hidden">{t('user', { name: me.name, role: me.role })}</span>
        </Menu>
      </div>
      {jobsOpen && <JobsDrawer onClose={() => setJobsOpen(false)} />}
    </header>
  );
}
