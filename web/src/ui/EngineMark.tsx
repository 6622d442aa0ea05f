import { clsx } from 'clsx';
import type { ReactNode } from 'react';

import { t } from './messages.ts';

/** The engine's colour and its word: never the colour alone. */
export function EngineMark({ engine, className }: { engine: string; className?: string }): ReactNode {
  return (
    <span className={clsx('inline-flex items-center gap-1.5 whitespace-nowrap', className)}>
      <span aria-hidden className={clsx('size-2 shrink-0 rounded-[2px]', engineFill(engine))} />
      {engineName(engine)}
    </span>
  );
}

export function engineName(engine: string): string {
  if (engine === 'docker') return t('docker');
  return engine === 'mini' ? t('mini') : engine;
}

export function engineFill(engine: string): string {
  return engine === 'mini' ? 'bg-mini' : 'bg-docker';
}

/** The CSS colour of an engine, for charts. */
export function engineColour(engine: string): string {
  return engine === 'mini' ? 'var(--mini)' : 'var(--docker)';
}
