import { clsx } from 'clsx';
import type { ReactNode } from 'react';
import { useId } from 'react';

/** A titled box of a page. */
export function Card({
  title,
  note,
  actions,
  children,
  className,
}: {
  title: string;
  note?: ReactNode;
  actions?: ReactNode;
  children?: ReactNode;
  className?: string;
}): ReactNode {
  const id = useId();
  return (
    <section
      aria-labelledby={id}
      className={clsx('min-w-0 rounded-card border border-line bg-surface px-4 py-3', className)}
    >
      <header className="mb-2 flex min-h-6 flex-wrap items-center gap-x-3 gap-y-1">
        <h2 id={id} className="text-sm font-semibold">
          {title}
        </h2>
        {note && <span className="text-xs text-subtle">{note}</span>}
        {actions && <div className="ml-auto flex items-center gap-2">{actions}</div>}
      </header>
      {children}
    </section>
  );
}
