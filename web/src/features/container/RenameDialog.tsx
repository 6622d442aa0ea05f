import { type ReactNode, useState } from 'react';

import { api } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import type { ContainerSummary, Problem } from '@/api/schema.gen.ts';
import { sentences } from '@/lib/format.ts';
import { Button } from '@/ui/Button.tsx';
import { Dialog } from '@/ui/Dialog.tsx';
import { TextField } from '@/ui/Field.tsx';
import { toast } from '@/ui/toasts.ts';

import { t } from './messages.ts';

export function RenameDialog({
  container: { engine, id, name },
  onClose,
}: {
  container: ContainerSummary;
  onClose: () => void;
}): ReactNode {
  const [value, setValue] = useState(name);
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (): Promise<void> => {
    setPending(true);
    try {
      await api.POST('/api/v1/engines/{engine}/containers/{container}/rename', {
        params: { path: { engine, container: id } },
        body: { name: value.trim() },
      });
      toast('ok', t('renamed', { name: value.trim() }));
      onClose();
    } catch (error) {
      setProblem(problemFrom(error));
      setPending(false);
    }
  };
  return (
    <Dialog
      title={t('renameTitle', { name })}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button variant="primary" type="submit" form="rename" pending={pending}>
            {t('rename')}
          </Button>
        </>
      }
    >
      <form
        id="rename"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <TextField
          label={t('newName')}
          data-autofocus
          required
          spellCheck={false}
          value={value}
          error={problem ? sentences(problem.errors?.[0]?.message ?? problem.detail, problem.hint) : undefined}
          onChange={(event) => setValue(event.target.value)}
        />
      </form>
    </Dialog>
  );
}
