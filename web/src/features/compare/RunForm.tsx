import { type ReactNode, useId, useState } from 'react';

import { api, unwrap } from '@/api/client.ts';
import { problemFrom } from '@/api/errors.ts';
import type { CompareStarted, Problem } from '@/api/schema.gen.ts';
import { splitWords } from '@/lib/shell.ts';
import { useEngines, useImages } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';
import { engineName } from '@/ui/EngineMark.tsx';
import { TextField } from '@/ui/Field.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';

import { t } from './messages.ts';

const DEFAULT_RUNS = '20';

/** Asks what to compare, and starts it. */
export function RunForm({ onStarted }: { onStarted: (started: CompareStarted) => void }): ReactNode {
  const { items, ready } = useEngines();
  const engines = items.filter((one) => one.state === 'connected').map((one) => one.name);
  const { items: images } = useImages(engines);
  const [image, setImage] = useState('');
  const [command, setCommand] = useState('');
  const [runs, setRuns] = useState(DEFAULT_RUNS);
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const list = useId();

  const enginesWith = (tag: string): readonly string[] =>
    engines.filter((engine) => images.some((one) => one.engine === engine && one.tags.includes(tag)));
  const tags = [...new Set(images.flatMap((one) => one.tags))]
    .filter((tag) => enginesWith(tag).length === engines.length)
    .toSorted();
  const wanted = image.trim();
  const full =
    wanted && !wanted.slice(wanted.lastIndexOf('/') + 1).includes(':') && !wanted.includes('@')
      ? `${wanted}:latest`
      : wanted;
  const having = enginesWith(full);
  const missing =
    !full || full.includes('@') || having.length === engines.length
      ? undefined
      : having[0]
        ? t('imageOnly', { engine: engineName(having[0]) })
        : t('imageNone');
  const words = splitWords(command);
  const alone = ready && engines.length < 2 && t('oneEngine');
  const count = Number(runs);
  const runsWrong = !/^\d+$/.test(runs) || count < 1 || count > 100;
  const fieldError = (field: string): string | undefined =>
    problem?.errors?.find((one) => one.field.startsWith(field))?.message;

  const submit = async (): Promise<void> => {
    if (words === null || runsWrong) return;
    setPending(true);
    setProblem(null);
    try {
      onStarted(
        await unwrap(api.POST('/api/v1/compare', { body: { image: wanted || null, command: words, runs: count } })),
      );
    } catch (error) {
      setProblem(problemFrom(error));
    } finally {
      setPending(false);
    }
  };
  return (
    <Card title={t('newRun')}>
      <form
        noValidate
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (!pending) void submit();
        }}
      >
        <p className="text-muted">{t('intro')}</p>
        {problem && !problem.errors?.length && <ProblemBox title={t('notRun')} problem={problem} />}
        <div className="grid items-start gap-3 sm:grid-cols-[2fr_2fr_1fr]">
          <TextField
            label={t('image')}
            list={list}
            value={image}
            spellCheck={false}
            autoCapitalize="none"
            placeholder="containeros/starter:latest"
            hint={missing ? <span className="text-warn">{missing}</span> : t('imageHint')}
            error={fieldError('image')}
            onChange={(event) => setImage(event.target.value)}
          />
          <datalist id={list}>
            {tags.map((tag) => (
              <option key={tag} value={tag} />
            ))}
          </datalist>
          <TextField
            label={t('command')}
            value={command}
            spellCheck={false}
            autoCapitalize="none"
            placeholder="/bin/true"
            hint={t('commandHint')}
            error={words === null ? t('quote') : fieldError('command')}
            onChange={(event) => setCommand(event.target.value)}
          />
          <TextField
            label={t('runs')}
            value={runs}
            inputMode="numeric"
            hint={t('runsHint')}
            error={runsWrong ? t('runsWrong') : fieldError('runs')}
            onChange={(event) => setRuns(event.target.value)}
          />
        </div>
        <div className="flex flex-wrap items-center gap-3">
          <Button type="submit" variant="primary" pending={pending} disabledReason={alone}>
            {t('run')}
          </Button>
          {alone && <p className="text-warn">{alone}</p>}
        </div>
      </form>
    </Card>
  );
}
