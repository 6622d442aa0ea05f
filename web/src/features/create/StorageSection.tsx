import { Plus, X } from 'lucide-react';
import { type ReactNode, useId } from 'react';
import { useFieldArray, useFormContext, useWatch } from 'react-hook-form';

import { useVolumes } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { Checkbox, Select, TextField } from '@/ui/Field.tsx';
import { IconButton } from '@/ui/IconButton.tsx';

import { errorCount } from './errors.ts';
import { t } from './messages.ts';
import type { Values } from './schema.ts';
import { Section } from './Section.tsx';

/** Volumes, folders of the host, and memory file systems. */
export function StorageSection(): ReactNode {
  const { register, control, formState } = useFormContext<Values>();
  const { fields, append, remove } = useFieldArray({ control, name: 'mounts' });
  const [mounts, engine] = useWatch({ control, name: ['mounts', 'engine'] });
  const { items } = useVolumes(engine ? [engine] : []);
  const list = useId();
  const { errors } = formState;
  return (
    <Section
      title={t('storage')}
      summary={fields.length > 0 ? t('summaryMounts', { count: fields.length }) : t('none')}
      errors={errorCount(errors, ['mounts'])}
      hint={t('storageHint')}
    >
      <datalist id={list}>
        {items.map((volume) => (
          <option key={volume.name} value={volume.name} />
        ))}
      </datalist>
      {fields.map((field, index) => {
        const kind = mounts[index]?.kind ?? 'volume';
        return (
          <fieldset
            key={field.id}
            className="grid grid-cols-[1fr_auto] items-start gap-2 sm:grid-cols-[9rem_1fr_1fr_auto_auto]"
          >
            <legend className="sr-only">
              {t('storage')} {index + 1}
            </legend>
            <Select label={t('kind')} {...register(`mounts.${index}.kind`)} className="max-sm:col-span-2">
              <option value="volume">{t('kind_volume')}</option>
              <option value="bind">{t('kind_bind')}</option>
              <option value="tmpfs">{t('kind_tmpfs')}</option>
            </Select>
            <TextField
              label={t(`source_${kind}`)}
              {...register(`mounts.${index}.source`)}
              {...(kind === 'volume' ? { list } : {})}
              spellCheck={false}
              error={errors.mounts?.[index]?.source?.message}
              className="max-sm:col-span-2"
            />
            <TextField
              label={t('target')}
              {...register(`mounts.${index}.target`)}
              required
              spellCheck={false}
              placeholder="/data"
              error={errors.mounts?.[index]?.target?.message}
              className="max-sm:col-span-2"
            />
            <Checkbox label={t('readOnly')} {...register(`mounts.${index}.readOnly`)} className="sm:mt-6" />
            <IconButton
              label={t('removeMount', { number: index + 1 })}
              icon={<X size={14} />}
              className="sm:mt-5"
              onClick={() => remove(index)}
            />
          </fieldset>
        );
      })}
      <div>
        <Button
          icon={<Plus size={14} aria-hidden />}
          onClick={() => append({ kind: 'volume', source: '', target: '', readOnly: false })}
        >
          {t('addMount')}
        </Button>
      </div>
    </Section>
  );
}
