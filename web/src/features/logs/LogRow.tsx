import { clsx } from 'clsx';
import type { ReactNode } from 'react';

import { instant, utc } from '@/lib/format.ts';

import { highlight, spansOf } from './ansi.ts';
import type { Entry } from './log-buffer.ts';
import { t } from './messages.ts';

type LogRowProps = { entry: Entry; search: string; current: boolean; timestamps: boolean; wrap: boolean };

function clock(time: string): string {
  const date = instant(time);
  return date
    ? `${date.toLocaleTimeString('en-GB', { hour12: false })}.${String(date.getMilliseconds()).padStart(3, '0')}`
    : '';
}

/** One line, or what happened between two. Text only: whatever a container writes stays text. */
export function LogRow({ entry, search, current, timestamps, wrap }: LogRowProps): ReactNode {
  if (entry.kind !== 'line') {
    const text =
      entry.kind === 'gap'
        ? entry.dropped > 0
          ? t('gap', { count: entry.dropped })
          : t('gapUnknown')
        : entry.kind === 'restart'
          ? t('restarted')
          : t('ended', { reason: entry.reason });
    return <div className="border-y border-dashed border-line px-3 text-warn">— {text} —</div>;
  }
  const error = entry.stream === 'stderr';
  return (
    <div
      className={clsx(
        'flex gap-3 border-l-2 px-2.5',
        error ? 'border-l-danger' : 'border-l-transparent',
        current && 'bg-accent/15',
      )}
    >
      {timestamps && (
        <time dateTime={utc(entry.time)} title={utc(entry.time)} className="shrink-0 text-subtle select-none">
          {clock(entry.time)}
        </time>
      )}
      <span className={clsx('w-6 shrink-0 text-2xs text-danger select-none', !error && 'invisible')}>{t('err')}</span>
      <span className={clsx('min-w-0', wrap ? 'break-all whitespace-pre-wrap' : 'whitespace-pre')}>
        {highlight(spansOf(entry.text), search).map((piece, index) =>
          piece.hit ? (
            <mark key={index} className={clsx('rounded-[2px]', current ? 'bg-warn text-canvas' : 'bg-warn/35 text-fg')}>
              {piece.text}
            </mark>
          ) : (
            <span key={index} className={piece.className || undefined}>
              {piece.text}
            </span>
          ),
        )}
        {entry.truncated && <span className="text-warn"> … {t('cut')}</span>}
      </span>
    </div>
  );
}
