import type { ReactNode } from 'react';

import type { ContainerSummary } from '@/api/schema.gen.ts';
import { dockerCommand } from '@/lib/shell.ts';
import { useEngines } from '@/live/stores.ts';
import { Code } from '@/ui/Code.tsx';
import { Dialog } from '@/ui/Dialog.tsx';

import { t } from './messages.ts';

/** The page's view and actions as commands, for scripts and for learning. */
export function CommandsDialog({
  container: { engine, name },
  onClose,
}: {
  container: ContainerSummary;
  onClose: () => void;
}): ReactNode {
  const { items } = useEngines();
  const endpoint = items.find((one) => one.name === engine)?.endpoint;
  const of = (...args: string[]): string => dockerCommand(engine, endpoint, args);
  const commands: readonly (readonly [string, string])[] = [
    [t('cmdLogs'), of('logs', '--follow', '--tail', '500', name)],
    [t('cmdStats'), of('stats', name)],
    [t('cmdExec'), of('exec', '-it', name, 'sh')],
    [t('cmdInspect'), of('inspect', name)],
    [t('cmdStop'), of('stop', name)],
    [t('cmdStart'), of('start', name)],
    [t('cmdRemove'), of('rm', name)],
  ];
  return (
    <Dialog title={t('commandsTitle')} onClose={onClose} wide>
      <p className="mb-4 text-muted">{t('commandsBody')}</p>
      <dl className="flex flex-col gap-3">
        {commands.map(([what, command]) => (
          <div key={what}>
            <dt className="mb-1 text-xs text-subtle">{what}</dt>
            <dd>
              <Code text={command} what={what} />
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
