import { Pause, Play, RotateCw, Square, Trash2, X } from 'lucide-react';
import type { ReactNode } from 'react';

import type { ContainerAction } from '@/api/schema.gen.ts';
import { actionLabel } from '@/api/useContainerActions.ts';
import { Button } from '@/ui/Button.tsx';
import { IconButton } from '@/ui/IconButton.tsx';

import { t } from './messages.ts';

const ACTIONS: readonly { action: ContainerAction; icon: ReactNode }[] = [
  { action: 'start', icon: <Play size={14} aria-hidden /> },
  { action: 'stop', icon: <Square size={14} aria-hidden /> },
  { action: 'restart', icon: <RotateCw size={14} aria-hidden /> },
  { action: 'pause', icon: <Pause size={14} aria-hidden /> },
];

type BulkBarProps = {
  count: number;
  pending: boolean;
  onAction: (action: ContainerAction) => void;
  onClear: () => void;
};

/** What can be done to all checked rows. */
export function BulkBar({ count, pending, onAction, onClear }: BulkBarProps): ReactNode {
  return (
    <div
      role="toolbar"
      aria-label={t('bulk')}
      className="sticky bottom-3 z-20 mx-auto mt-4 flex w-fit max-w-full flex-wrap items-center justify-center gap-2 rounded-card border border-line-strong bg-raised p-3 shadow-raised max-sm:p-2"
    >
      <strong role="status" className="px-1 font-semibold max-sm:w-full max-sm:text-center">
        {t('selected', { count })}
      </strong>
      {ACTIONS.map(({ action, icon }) => (
        <Button key={action} icon={icon} pending={pending} onClick={() => onAction(action)}>
          <span className="max-sm:sr-only">{actionLabel[action]}</span>
        </Button>
      ))}
      <Button
        variant="danger"
        icon={<Trash2 size={14} aria-hidden />}
        pending={pending}
        onClick={() => onAction('remove')}
      >
        <span className="max-sm:sr-only">{t('removeShort')}</span>
      </Button>
      <IconButton label={t('clear')} icon={<X size={14} />} onClick={onClear} />
    </div>
  );
}
