import { clsx } from 'clsx';
import type { ReactNode } from 'react';

import { Copy } from './Copy.tsx';

/** A block of code or a command with a copy button. */
export function Code({
  text,
  what,
  wrap = true,
  className,
}: {
  text: string;
  what: string;
  wrap?: boolean;
  className?: string;
}): ReactNode {
  return (
    <div
      className={clsx('flex items-start gap-1 rounded-control border border-line bg-inset py-1 pr-1 pl-2.5', className)}
    >
      {/* Focusable because it may scroll: keyboard users need a way to reach its end. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre
        tabIndex={0}
        className={clsx('mono min-w-0 flex-1 overflow-x-auto py-1 text-fg', wrap && 'break-words whitespace-pre-wrap')}
      >
        {text}
      </pre>
      <Copy text={text} what={what} />
    </div>
  );
}
