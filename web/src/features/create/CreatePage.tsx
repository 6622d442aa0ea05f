import { zodResolver } from '@hookform/resolvers/zod';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { FormProvider, type SubmitHandler, useForm, useWatch } from 'react-hook-form';
import { Link, useNavigate, useSearchParams } from 'react-router';

import { problemFrom } from '@/api/errors.ts';
import type { Problem } from '@/api/schema.gen.ts';
import { paths } from '@/lib/paths.ts';
import { present, useEngineChoice } from '@/live/engine-choice.ts';
import { JobProgress } from '@/live/JobProgress.tsx';
import { useEngines, useImages } from '@/live/stores.ts';
import { Banner } from '@/ui/Banner.tsx';
import { Button, buttonClass } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';
import { engineName } from '@/ui/EngineMark.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { toast } from '@/ui/toasts.ts';

import { BasicsSection } from './BasicsSection.tsx';
import { ConfirmPasswordDialog } from './ConfirmPasswordDialog.tsx';
import { EnvSection } from './EnvSection.tsx';
import { ErrorSummary } from './ErrorSummary.tsx';
import { errorList, isField } from './errors.ts';
import { hasImage } from './image.ts';
import { AdvancedSection, LimitsSection } from './LimitsSection.tsx';
import { t } from './messages.ts';
import { PortsSection } from './PortsSection.tsx';
import { fieldOf, requestOf } from './request.ts';
import { EMPTY, schema, type Values } from './schema.ts';
import { SidePanel } from './SidePanel.tsx';
import { StorageSection } from './StorageSection.tsx';
import { useCreate } from './useCreate.ts';

// A draft survives leaving the page, but is never written down: it may hold secrets.
let draft: Values | null = null;

export function CreatePage(): ReactNode {
  const [search] = useSearchParams();
  const navigate = useNavigate();
  const { choice } = useEngineChoice();
  const { items } = useEngines();
  const engines = items.filter(present);
  const connected = engines.filter((one) => one.state === 'connected');
  const form = useForm<Values>({
    resolver: zodResolver(schema),
    defaultValues: { ...(draft ?? EMPTY), ...(search.get('image') ? { image: search.get('image') ?? '' } : {}) },
    // The summary takes the focus instead of the first field.
    shouldFocusError: false,
  });
  const { control, getValues, setValue, setError, handleSubmit, formState } = form;
  const { pull, create } = useCreate();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [confirming, setConfirming] = useState<{ start: boolean } | null>(null);
  const summary = useRef<HTMLDivElement>(null);
  const engine = useWatch({ control, name: 'engine' });
  const { items: images } = useImages(engine ? [engine] : []);

  const wanted = search.get('engine') ?? (choice === 'all' ? null : choice);
  const names = connected.map((one) => one.name).join(',');
  useEffect(() => {
    // The engine asked for, else the one in the switch, else the first that answers; a choice made here stays.
    const known = names.split(',').filter(Boolean);
    if (known.includes(getValues('engine'))) return;
    const first = known.find((name) => name === wanted) ?? known.find((name) => name === 'mini') ?? known[0];
    if (first) setValue('engine', first);
  }, [names, wanted, getValues, setValue]);
  useEffect(() => {
    return () => {
      draft = getValues();
    };
  }, [getValues]);
  const failed = formState.submitCount;
  const count = errorList(formState.errors).length;
  useEffect(() => {
    if (failed > 0 && (count > 0 || problem)) summary.current?.focus();
  }, [failed, count, problem]);

  const submit =
    (start: boolean): SubmitHandler<Values> =>
    async (values) => {
      setProblem(null);
      try {
        const made = await create(values.engine, requestOf(values, start), !hasImage(images, values.image));
        toast('ok', start ? t('started', { name: made.name }) : t('created', { name: made.name }), {
          detail: made.warnings.join(' ') || undefined,
        });
        form.reset(EMPTY);
        await navigate(paths.container(values.engine, made.id));
      } catch (error) {
        const refused = problemFrom(error);
        if (refused.code === 'reauthenticate') {
          setConfirming({ start });
          return;
        }
        setProblem(refused);
        for (const one of refused.errors ?? []) {
          // The server's path of the field; one that the form does not have stays in the summary.
          const name = fieldOf(one);
          setError(isField(name) ? name : 'root', { type: 'server', message: one.message });
        }
      }
    };

  const where = engine ? t('createOn', { engine: engineName(engine) }) : '';
  const noEngine = connected.length === 0 && t('noEngine');
  return (
    <FormProvider {...form}>
      <form noValidate aria-label={t('title')} onSubmit={(event) => void handleSubmit(submit(true))(event)}>
        <PageHeader title={t('title')} />
        <div className="grid items-start gap-3 lg:grid-cols-[minmax(0,1fr)_minmax(0,24rem)]">
          <div className="flex min-w-0 flex-col gap-3">
            <ErrorSummary ref={summary} problem={problem} />
            {pull && (pull.state === 'running' || pull.state === 'queued') && (
              <Card title={t('pulling', { image: getValues('image') })}>
                <JobProgress job={pull} />
              </Card>
            )}
            {items.length > 0 && noEngine && <Banner kind="danger" title={noEngine} />}
            <BasicsSection engines={engines} />
            <PortsSection engines={connected.map((one) => one.name)} />
            <StorageSection />
            <EnvSection />
            <LimitsSection />
            <AdvancedSection />
            <div className="flex flex-wrap gap-2 pb-4">
              <Button type="submit" variant="primary" pending={formState.isSubmitting} disabledReason={noEngine}>
                {t('createStart')} {where}
              </Button>
              <Button
                pending={formState.isSubmitting}
                disabledReason={noEngine}
                onClick={() => void handleSubmit(submit(false))()}
              >
                {t('createOnly')}
              </Button>
              <Link to={paths.containers()} className={buttonClass('ghost')}>
                {t('cancel')}
              </Link>
            </div>
          </div>
          <SidePanel />
        </div>
      </form>
      {confirming && (
        <ConfirmPasswordDialog
          onClose={() => setConfirming(null)}
          onConfirmed={() => {
            setConfirming(null);
            void handleSubmit(submit(confirming.start))();
          }}
        />
      )}
    </FormProvider>
  );
}
