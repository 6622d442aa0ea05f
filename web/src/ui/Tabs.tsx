import { clsx } from 'clsx';
import { type ReactNode, useEffect, useRef } from 'react';

/**
 * The frame of a row of tabs that are links (each tab has its own address). The caller renders the links with
 * `tabClass`; the current one is scrolled into view on narrow screens.
 */
export function TabBar({ label, children }: { label: string; children: ReactNode }): ReactNode {
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    bar.current?.querySelector('[aria-current=page]')?.scrollIntoView?.({ block: 'nearest', inline: 'center' });
  });
  return (
    <nav
      ref={bar}
      aria-label={label}
      className="flex gap-0.5 overflow-x-auto border-b border-line [scrollbar-width:none]"
    >
      {children}
    </nav>
  );
}

export function tabClass(current: boolean): string {
  return clsx(
    'flex min-h-control items-center px-3.5 py-2 text-sm whitespace-nowrap -outline-offset-2',
    current ? 'text-fg shadow-[inset_0_-2px_0_var(--accent)]' : 'text-muted hover:text-fg',
  );
}
