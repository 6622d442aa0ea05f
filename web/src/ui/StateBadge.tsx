import { clsx } from 'clsx';
import {
  Check,
  Circle,
  CircleAlert,
  CircleDashed,
  CircleHelp,
  CircleX,
  Droplet,
  Loader,
  type LucideIcon,
  Pause,
  RotateCw,
  Skull,
  Trash2,
} from 'lucide-react';
import type { ReactNode } from 'react';

import { t } from './messages.ts';

export type StateFacts = {
  state: string;
  health?: string | null | undefined;
  exitCode?: number | null | undefined;
  oomKilled?: boolean | null | undefined;
};

type Look = { icon: LucideIcon; colour: string; word: string; fill?: boolean; spin?: boolean };

/** Icon, colour and word of a container's state: the three always go together. */
export function stateLook({ state, health, exitCode, oomKilled }: StateFacts): Look {
  switch (state) {
    case 'running':
      if (health === 'healthy') return { icon: Check, colour: 'text-ok', word: t('healthy') };
      if (health === 'unhealthy') return { icon: CircleAlert, colour: 'text-danger', word: t('unhealthy') };
      if (health === 'starting') return { icon: Loader, colour: 'text-info', word: t('starting'), spin: true };
      return { icon: Circle, colour: 'text-ok', word: t('running'), fill: true };
    case 'paused':
      return { icon: Pause, colour: 'text-paused', word: t('paused') };
    case 'restarting':
      return { icon: RotateCw, colour: 'text-warn', word: t('restarting') };
    case 'created':
      return { icon: CircleDashed, colour: 'text-neutral', word: t('created') };
    case 'removing':
      return { icon: Trash2, colour: 'text-warn', word: t('removing') };
    case 'exited':
      if (oomKilled) return { icon: Droplet, colour: 'text-danger', word: t('oom') };
      if (exitCode) return { icon: CircleX, colour: 'text-danger', word: t('exited', { code: String(exitCode) }) };
      return { icon: Circle, colour: 'text-neutral', word: t('exited', { code: '0' }) };
    case 'dead':
      return { icon: Skull, colour: 'text-danger', word: t('dead') };
    default:
      return { icon: CircleHelp, colour: 'text-neutral', word: state || t('unknown') };
  }
}

export function StateBadge({ className, ...facts }: StateFacts & { className?: string }): ReactNode {
  const { icon: Icon, colour, word, fill, spin } = stateLook(facts);
  return (
    <span className={clsx('inline-flex items-center gap-1.5 whitespace-nowrap', colour, className)}>
      <Icon
        size={fill ? 10 : 14}
        aria-hidden
        fill={fill ? 'currentColor' : 'none'}
        className={clsx('shrink-0', fill && 'mx-0.5', spin && 'animate-spin')}
      />
      {word}
    </span>
  );
}
