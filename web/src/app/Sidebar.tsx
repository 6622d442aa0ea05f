import { clsx } from 'clsx';
import { PanelLeftClose, PanelLeftOpen } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { NavLink } from 'react-router';

import { useEngineChoice } from '@/live/engine-choice.ts';
import { useEngines } from '@/live/stores.ts';
import { IconButton } from '@/ui/IconButton.tsx';
import { number } from '@/lib/format.ts';

import { t } from './messages.ts';
import { NAV } from './nav.ts';

const STORAGE_KEY = 'containeros.sidebar';

/** Pages with the number of their objects. Icons alone on middle widths or when collapsed, gone on phones. */
export function Sidebar(): ReactNode {
  const [narrow, setNarrow] = useState(() => localStorage.getItem(STORAGE_KEY) === 'narrow');
  const { engines } = useEngineChoice();
  const { items } = useEngines();
  const toggle = (): void => {
    localStorage.setItem(STORAGE_KEY, narrow ? 'wide' : 'narrow');
    setNarrow(!narrow);
  };
  return (
    <nav
      aria-label={t('navigation')}
      className={clsx(
        'flex shrink-0 flex-col gap-0.5 overflow-y-auto border-r border-line bg-surface px-2 py-3 max-sm:hidden',
        narrow ? 'w-14' : 'w-54 max-lg:w-14',
      )}
    >
      {NAV.map(({ to, label, icon: Icon, count, apart }) => {
        const sum =
          count &&
          items.filter((one) => engines.includes(one.name)).reduce((total, one) => total + one.counts[count], 0);
        return (
          <div key={to} className="contents">
            {apart && <hr className="mx-1 my-2 border-line" />}
            <NavLink
              to={to}
              end={to === '/'}
              title={label}
              className={({ isActive }) =>
                clsx(
                  'flex min-h-control items-center gap-2.5 rounded-control px-2.5 text-sm -outline-offset-2',
                  isActive
                    ? 'bg-accent/11 text-fg shadow-[inset_2px_0_0_var(--accent)]'
                    : 'text-muted hover:bg-raised hover:text-fg',
                )
              }
            >
              <Icon size={16} aria-hidden className="shrink-0" />
              <span className={clsx('flex-1', narrow ? 'sr-only' : 'max-lg:sr-only')}>{label}</span>
              {sum !== undefined && (
                <span className={clsx('text-xs text-subtle', narrow ? 'hidden' : 'max-lg:hidden')}>{number(sum)}</span>
              )}
            </NavLink>
          </div>
        );
      })}
      <div className="mt-auto max-lg:hidden">
        <IconButton
          label={narrow ? t('expand') : t('collapse')}
          icon={narrow ? <PanelLeftOpen size={16} /> : <PanelLeftClose size={16} />}
          onClick={toggle}
        />
      </div>
    </nav>
  );
}
