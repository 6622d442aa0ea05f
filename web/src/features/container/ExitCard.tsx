import type { ReactNode } from 'react';

import type { ExitExplanation, Grade } from '@/api/schema.gen.ts';
import { Tag } from '@/ui/Chip.tsx';

import { t } from './messages.ts';

const GRADES: Record<Grade, { word: string; tone: 'ok' | 'warn' | 'muted' }> = {
  certain: { word: t('certain'), tone: 'ok' },
  likely: { word: t('likely'), tone: 'warn' },
  unknown: { word: t('notKnown'), tone: 'muted' },
};

/** Why it ended, how sure that is, what it rests on and what to do next. */
export function ExitCard({ exit, bad }: { exit: ExitExplanation; bad: boolean }): ReactNode {
  const grade = GRADES[exit.grade];
  return (
    <section
      aria-label={t('exitTitle')}
      className={`rounded-card border border-l-3 border-line bg-surface px-4 py-3 ${bad ? 'border-l-danger' : 'border-l-neutral'}`}
    >
      <h2 className="flex flex-wrap items-center gap-2 text-base font-semibold">
        {exit.title} <Tag tone={grade.tone}>{grade.word}</Tag>
      </h2>
      <p className="mt-1">{exit.sentence}</p>
      {exit.next_step && <p className="mt-1 font-medium">{t('nextStep', { step: exit.next_step })}</p>}
      {exit.evidence.length > 0 && (
        <details className="mt-2 text-muted">
          <summary className="w-fit text-xs">{t('evidence')}</summary>
          <ul className="mono mt-1 list-disc pl-5 break-words">
            {exit.evidence.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
