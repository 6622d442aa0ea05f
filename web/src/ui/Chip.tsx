import { clsx } from 'clsx';
import type { ReactNode } from 'react';

/** A filter that is on or off. */
export function Chip({
  pressed,
  onPress,
  children,
}: {
  pressed: boolean;
  onPress: () => void;
  children: ReactNode;
}): ReactNode {
  return (
    <button
      type="button"
      aria-pressed={pressed}
      onClick={onPress}
      className={clsx(
        'inline-flex min-h-6 items-center gap-1.5 rounded-pill border px-2.5 text-xs whitespace-nowrap pointer-coarse:min-h-11',
        pressed
          ? 'border-accent bg-accent/12 text-fg'
          : 'border-line text-muted hover:border-line-strong hover:text-fg',
      )}
    >
      {children}
    </button>
  );
}

/** A short fact in a rounded frame. */
export function Tag({
  children,
  tone = 'muted',
  title,
  className,
}: {
  children: ReactNode;
  tone?: 'muted' | 'warn' | 'ok' | 'danger' | 'info';
  title?: string | undefined;
  className?: string;
}): ReactNode {
  const tones = {
    muted: 'border-line text-muted',
    warn: 'border-warn text-warn',
    ok: 'border-ok text-ok',
    danger: 'border-danger text-danger',
    info: 'border-info text-info',
  };
  return (
    <span
      title={title}
      className={clsx(
        'inline-flex items-center gap-1 rounded-pill border px-2 text-xs/5 whitespace-nowrap',
        tones[tone],
        className,
      )}
    >
      {children}
    </span>
  );
}
