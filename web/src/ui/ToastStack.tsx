import { clsx } from 'clsx';
import { CircleAlert, CircleCheck, Info, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useStore } from 'zustand';

import { Button } from './Button.tsx';
import { IconButton } from './IconButton.tsx';
import { t } from './messages.ts';
import { dismissToast, type ToastKind, toasts } from './toasts.ts';

const ICONS: Record<ToastKind, ReactNode> = {
  ok: <CircleCheck size={16} aria-hidden className="text-ok" />,
  error: <CircleAlert size={16} aria-hidden className="text-danger" />,
  info: <Info size={16} aria-hidden className="text-info" />,
};

export function ToastStack(): ReactNode {
  const list = useStore(toasts, (state) => state.list);
  return (
    <section
      aria-label={t('notifications')}
      className="pointer-events-none fixed right-4 bottom-4 z-50 flex w-96 max-w-[calc(100vw-2rem)] flex-col gap-2 max-sm:bottom-20"
    >
      {list.map((toast) => (
        <div
          key={toast.id}
          role={toast.kind === 'error' ? 'alert' : 'status'}
          className={clsx(
            'pointer-events-auto flex items-start gap-2 rounded-card border bg-raised p-2 pl-3 shadow-raised',
            toast.kind === 'error' ? 'border-danger' : 'border-line',
          )}
        >
          <span className="mt-1.5">{ICONS[toast.kind]}</span>
          <div className="min-w-0 flex-1 py-1 break-words">
            <p>{toast.text}</p>
            {toast.detail && <p className="text-xs text-muted">{toast.detail}</p>}
          </div>
          {toast.action && (
            <Button
              onClick={() => {
                toast.action?.run();
                dismissToast(toast.id);
              }}
            >
              {toast.action.label}
            </Button>
          )}
          <IconButton label={t('dismiss')} icon={<X size={14} />} onClick={() => dismissToast(toast.id)} />
        </div>
      ))}
    </section>
  );
}
