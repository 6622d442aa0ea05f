import { type ReactNode, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import type { EngineInfo, Problem } from '@/api/schema.gen.ts';
import { sentences } from '@/lib/format.ts';
import { unavailable } from '@/live/engine-choice.ts';
import { Button } from '@/ui/Button.tsx';
import { Dialog } from '@/ui/Dialog.tsx';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { TextField } from '@/ui/Field.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';
import { toast } from '@/ui/toasts.ts';

import { t } from './messages.ts';

type CreateVolumeDialogProps = { engines: readonly EngineInfo[]; preferred: string | undefined; onClose: () => void };

export function CreateVolumeDialog({ engines, preferred, onClose }: CreateVolumeDialogProps): ReactNode {
  const usable = engines.filter((engine) => engine.state === 'connected');
  const [engine, setEngine] = useState(usable.find((one) => one.name === preferred)?.name ?? usable[0]?.name ?? '');
  const [name, setName] = useState('');
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const submit = async (): Promise<void> => {
    setPending(true);
    setProblem(null);
    try {
      const made = await unwrap(
        api.POST('/api/v1/engines/{engine}/volumes', {
          params: { path: { engine } },
          body: name.trim() ? { name: name.trim() } : {},
        }),
      );
      toast('ok', t('created', { name: made.summary.name }));
      onClose();
    } catch (error) {
      setProblem(problemFrom(error));
      setPending(false);
    }
  };
  return (
    <Dialog
      title={t('createTitle')}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button variant="primary" type="submit" form="new-volume" pending={pending}>
            {t('createVerb')}
          </Button>
        </>
      }
    >
      <form
        id="new-volume"
        noValidate
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (!pending) void submit();
        }}
      >
        <RadioGroup
          label={t('on')}
          value={engine}
          onChange={setEngine}
          className="self-start"
          options={engines.map((one) => ({
            value: one.name,
            label: <EngineMark engine={one.name} />,
            disabledReason: unavailable(one),
          }))}
        />
        <TextField
          label={t('name')}
          data-autofocus
          spellCheck={false}
          autoCapitalize="none"
          value={name}
          hint={t('nameHint')}
          error={problem ? sentences(problem.errors?.[0]?.message ?? problem.detail, problem.hint) : undefined}
          onChange={(event) => setName(event.target.value)}
        />
      </form>
    </Dialog>
  );
}
