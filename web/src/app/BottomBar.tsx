import { clsx } from 'clsx';
import { Ellipsis } from 'lucide-react';
import type { ReactNode } from 'react';
import { NavLink, useLocation, useNavigate } from 'react-router';

import { Menu } from '@/ui/Menu.tsx';

import { t } from './messages.ts';
import { NAV } from './nav.ts';

const FIRST = 4;

/** The phone's navigation: four pages, and the rest in a menu. */
export function BottomBar(): ReactNode {
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const inMore = NAV.slice(FIRST).some(({ to }) => pathname.startsWith(to));
  return (
    <nav
      aria-label={t('navigation')}
      className="flex shrink-0 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] sm:hidden"
    >
      {NAV.slice(0, FIRST).map(({ to, label, icon: Icon }) => (
        <NavLink
          key={to}
          to={to}
          end={to === '/'}
          className={({ isActive }) =>
            clsx(
              'flex min-h-13 min-w-0 flex-1 flex-col items-center justify-center gap-0.5 text-2xs -outline-offset-2',
              isActive ? 'text-accent' : 'text-muted',
            )
          }
        >
          <Icon size={18} aria-hidden />
          <span className="max-w-full truncate">{label}</span>
        </NavLink>
      ))}
      <Menu
        label={t('more')}
        className={clsx('h-13! flex-1 flex-col gap-0.5! text-2xs!', inMore && 'text-accent!')}
        items={NAV.slice(FIRST).map(({ to, label, icon: Icon }) => ({
          label,
          icon: <Icon size={16} aria-hidden />,
          onSelect: () => void navigate(to),
        }))}
      >
        <Ellipsis size={18} aria-hidden />
        {t('more')}
      </Menu>
    </nav>
  );
}
