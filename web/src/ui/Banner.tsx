import { clsx } from 'clsx';
import { CircleAlert, Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';

type BannerKind = 'info' | 'warn' | 'danger';

const LOOK: Record<BannerKind, { icon: ReactNode; line: string }> = {
  info: { icon: <Info size={16} aria-hidden className="text-info" />, line: 'border-l-info' },
  warn: { icon: <TriangleAlert size={16} aria-hidden className="text-warn" />, line: 'border-l-warn' },
  danger: { icon: <CircleAlert size={16} aria-hidden className="text-danger" />, line: 'border-l-danger' },
};

export function Banner({
  kind = 'info',
  title,
  children,
  action,
  live = false,
}: {
  kind?: BannerKind;
  title?: string;
  children?: ReactNode;
  action?: ReactNode;
  live?: boolean;
}): ReactNode {
  return (
    <div
      role={live ? (kind === 'danger' ? 'alert' : 'status') : undefined}
      className={clsx(
        'flex flex-wrap items-center gap-x-3 gap-y-2 rounded-card border border-l-3 border-line bg-surface px-3 py-2',
        LOOK[kind].line,
      )}
    >
      <span className="self-start pt-0.5">{LOOK[kind].icon}</span>
      <div className="min-w-0 flex-1 basis-60 break-words">
        {title && <p className="font-semibold">{title}</p>}
        {children && <div className="text-muted">{children}</div>}
      </div>
      {action}
    </div>
  );
}
