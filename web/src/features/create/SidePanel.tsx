import type { ReactNode } from 'react';
import { useFormContext, useWatch } from 'react-hook-form';

import { useEngines } from '@/live/stores.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Card } from '@/ui/Card.tsx';
import { Code } from '@/ui/Code.tsx';

import { t } from './messages.ts';
import { requestOf, runLine } from './request.ts';
import { EMPTY, type Values } from './schema.ts';

function notesFor(values: Values): readonly string[] {
  const open = values.ports.some(({ hostIp }) => hostIp.trim() === '' || hostIp.trim() === '0.0.0.0');
  return [
    values.autoRemove && values.restart !== 'no' && t('noteRemoveRestart'),
    values.mounts.some(({ kind }) => kind === 'bind') && t('noteBind'),
    values.network.trim() === 'host' && t('noteHost'),
    open && t('notePublic'),
    !values.memory.trim() && t('noteNoLimit'),
  ].filter((note) => note !== false);
}

/** The same as a command line, and what is worth knowing before it is made. */
export function SidePanel(): ReactNode {
  const { control } = useFormContext<Values>();
  const watched = useWatch({ control });
  const { items } = useEngines();
  // Rows being edited may be partial for a moment; the form's own values are always whole.
  const { getValues } = useFormContext<Values>();
  const values = { ...EMPTY, ...getValues(), engine: watched.engine ?? '' };
  const endpoint = items.find((one) => one.name === values.engine)?.endpoint;
  return (
    <aside className="flex min-w-0 flex-col gap-3 lg:sticky lg:top-(--head)">
      <Card title={t('line')} note={t('lineHint')}>
        <Code text={runLine(requestOf(values, true), values.engine, endpoint)} what={t('lineName')} />
      </Card>
      {notesFor(values).map((note) => (
        <Banner key={note} kind="warn">
          {note}
        </Banner>
      ))}
    </aside>
  );
}
