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

import { t } from './messages.ts';

type PullDialogProps = { engines: readonly EngineInfo[]; preferred: string | undefined; onClose: () => void };

/** Asks what to pull and where to; the pull itself is a job that goes on without the page. */
export function PullDialog({ engines, preferred, onClose }: PullDialogProps): ReactNode {
  const usable = engines.filter((engine) => engine.state === 'connected');
  const [engine, setEngine] = useState(usable.find(({ name }) => name === preferred)?.name ?? usable[0]?.name ?? '');
  const [reference, setReference] = useState('');
  const [pending, setPending] = useState(false);
  const [tried, setTried] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const missing = tried && !reference.trim() ? t('needed') : undefined;
  const refused = problem ? sentences(problem.errors?.[0]?.message ?? problem.detail, problem.hint) : undefined;

  const submit = async (): Promise<void> => {
    setTried(true);
    if (!reference.trim()) return;
    setPending(true);
    setProblem(null);
    try {
      await unwrap(
        api.POST('/api/v1/engines/{engine}/images/pull', {
          params: { path: { engine } },
          body: { reference: reference.trim() },
        }),
      );
      onClose();
    } catch (error) {
      setProblem(problemFrom(error));
      setPending(false);
    }
  };
  return (
    <Dialog
      title={t('pull')}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button variant="primary" type="submit" form="pull" pending={pending}>
            {t('pullShort')}
          </Button>
        </>
      }
    >
      <form
        id="pull"
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
          label={t('reference')}
          data-autofocus
          required
          spellCheck={false}
          autoCapitalize="none"
          value={reference}
          hint={t('referenceHint')}
          error={missing ?? refused}
          onChange={(event) => {
            setReference(event.target.value);
            setProblem(null);
          }}
        />
      </form>
    </Dialog>
  );
}
