import { clsx } from 'clsx';
import type { ReactNode } from 'react';

type ProgressProps = {
  label: string;
  /** 0 to 100; nothing means the length of the work is not known. */
  percent?: number | null | undefined;
  colour?: string | undefined;
  className?: string | undefined;
};

export function Progress({ label, percent, colour = 'bg-accent', className }: ProgressProps): ReactNode {
  const known = percent !== null && percent !== undefined;
  const width = known ? Math.max(0, Math.min(100, percent)) : 100;
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={known ? Math.round(width) : undefined}
      className={clsx('h-1.5 overflow-hidden rounded-pill border border-line bg-inset', className)}
    >
      <div
        className={clsx('h-full rounded-pill', colour, !known && 'animate-pulse')}
        style={{ width: `${String(width)}%` }}
      />
    </div>
  );
}

/** A share of a limit; says the figures, since a bar alone cannot be read. */
export function Meter({ label, percent, colour = 'bg-accent', className }: ProgressProps): ReactNode {
  const width = Math.max(0, Math.min(100, percent ?? 0));
  return (
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(width)}
      className={clsx('h-1.5 overflow-hidden rounded-pill border border-line bg-inset', className)}
    >
      <div className={clsx('h-full', width >= 90 ? 'bg-danger' : colour)} style={{ width: `${String(width)}%` }} />
    </div>
  );
}
