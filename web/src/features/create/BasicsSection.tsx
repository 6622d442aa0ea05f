import { type ReactNode, useId } from 'react';
import { Controller, useFormContext, useWatch } from 'react-hook-form';

import type { EngineInfo } from '@/api/schema.gen.ts';
import { unavailable } from '@/live/engine-choice.ts';
import { useImages } from '@/live/stores.ts';
import { EngineMark, engineName } from '@/ui/EngineMark.tsx';
import { TextField } from '@/ui/Field.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';

import { hasImage } from './image.ts';
import { t } from './messages.ts';
import type { Values } from './schema.ts';
import { Section } from './Section.tsx';
import { errorCount } from './errors.ts';

/** Engine, image, name and command. */
export function BasicsSection({ engines }: { engines: readonly EngineInfo[] }): ReactNode {
  const { register, control, formState } = useFormContext<Values>();
  const { errors } = formState;
  const [engine, image] = useWatch({ control, name: ['engine', 'image'] });
  const { items } = useImages(engine ? [engine] : []);
  const list = useId();
  const tags = items.flatMap((one) => one.tags).toSorted();
  const hint = !image.trim()
    ? t('imageHint')
    : hasImage(items, image)
      ? t('imageHere', { engine: engineName(engine) })
      : t('imageMissing', { engine: engineName(engine) });
  return (
    <Section title={t('basics')} errors={errorCount(errors, ['engine', 'image', 'name', 'command'])}>
      <Controller
        name="engine"
        control={control}
        render={({ field }) => (
          <div className="flex flex-col items-start gap-1">
            <span aria-hidden className="text-xs font-medium text-muted">
              {t('engine')}
            </span>
            <RadioGroup
              label={t('engine')}
              value={field.value}
              onChange={field.onChange}
              options={engines.map((one) => ({
                value: one.name,
                label: <EngineMark engine={one.name} />,
                disabledReason: unavailable(one),
              }))}
            />
          </div>
        )}
      />
      <TextField
        label={t('image')}
        {...register('image')}
        list={list}
        required
        spellCheck={false}
        autoCapitalize="none"
        error={errors.image?.message}
        hint={<span aria-live="polite">{hint}</span>}
      />
      <datalist id={list}>
        {tags.map((tag) => (
          <option key={tag} value={tag} />
        ))}
      </datalist>
      <div className="grid gap-3 sm:grid-cols-2">
        <TextField
          label={t('name')}
          {...register('name')}
          spellCheck={false}
          autoCapitalize="none"
          error={errors.name?.message}
          hint={t('nameHint')}
        />
        <TextField
          label={t('command')}
          {...register('command')}
          spellCheck={false}
          autoCapitalize="none"
          error={errors.command?.message}
          hint={t('commandHint')}
        />
      </div>
    </Section>
  );
}
