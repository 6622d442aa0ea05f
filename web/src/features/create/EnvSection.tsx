import { ClipboardPaste, Plus, X } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { useFieldArray, useFormContext } from 'react-hook-form';

import { Button } from '@/ui/Button.tsx';
import { Dialog } from '@/ui/Dialog.tsx';
import { TextArea, TextField } from '@/ui/Field.tsx';
import { IconButton } from '@/ui/IconButton.tsx';

import { parseDotenv, type Variable } from './dotenv.ts';
import { errorCount } from './errors.ts';
import { t } from './messages.ts';
import type { Values } from './schema.ts';
import { Section } from './Section.tsx';

/** Variables, one by one or from a .env file. */
export function EnvSection(): ReactNode {
  const { register, control, formState, getValues } = useFormContext<Values>();
  const { fields, append, remove, replace } = useFieldArray({ control, name: 'env' });
  const [pasting, setPasting] = useState(false);
  const { errors } = formState;
  const add = (variables: readonly Variable[]): void => {
    const merged = new Map(getValues('env').map(({ key, value }) => [key, value]));
    for (const { key, value } of variables) merged.set(key, value);
    replace([...merged].map(([key, value]) => ({ key, value })));
  };
  return (
    <Section
      title={t('env')}
      summary={fields.length > 0 ? t('summaryEnv', { count: fields.length }) : t('none')}
      errors={errorCount(errors, ['env'])}
    >
      {fields.map((field, index) => (
        <fieldset key={field.id} className="grid grid-cols-[1fr_1fr_auto] items-start gap-2">
          <legend className="sr-only">
            {t('env')} {index + 1}
          </legend>
          <TextField
            label={t('key')}
            {...register(`env.${index}.key`)}
            required
            spellCheck={false}
            autoCapitalize="none"
            error={errors.env?.[index]?.key?.message}
          />
          <TextField
            label={t('value')}
            {...register(`env.${index}.value`)}
            spellCheck={false}
            autoCapitalize="none"
            error={errors.env?.[index]?.value?.message}
          />
          <IconButton
            label={t('removeEnv', { number: index + 1 })}
            icon={<X size={14} />}
            className="mt-5"
            onClick={() => remove(index)}
          />
        </fieldset>
      ))}
      <div className="flex flex-wrap gap-2">
        <Button icon={<Plus size={14} aria-hidden />} onClick={() => append({ key: '', value: '' })}>
          {t('addEnv')}
        </Button>
        <Button icon={<ClipboardPaste size={14} aria-hidden />} onClick={() => setPasting(true)}>
          {t('pasteEnv')}
        </Button>
      </div>
      {pasting && <PasteDialog onAdd={add} onClose={() => setPasting(false)} />}
    </Section>
  );
}

function PasteDialog({
  onAdd,
  onClose,
}: {
  onAdd: (variables: readonly Variable[]) => void;
  onClose: () => void;
}): ReactNode {
  const [text, setText] = useState('');
  const { variables, skipped } = parseDotenv(text);
  return (
    <Dialog
      title={t('pasteTitle')}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('cancel')}</Button>
          <Button
            variant="primary"
            disabledReason={variables.length === 0 && t('none')}
            onClick={() => {
              onAdd(variables);
              onClose();
            }}
          >
            {t('pasteAdd')}
          </Button>
        </>
      }
    >
      <TextArea
        label={t('pasteLabel')}
        data-autofocus
        rows={10}
        spellCheck={false}
        value={text}
        onChange={(event) => setText(event.target.value)}
        hint={[t('summaryEnv', { count: variables.length }), skipped > 0 && t('pasteSkipped', { count: skipped })]
          .filter(Boolean)
          .join(' · ')}
      />
    </Dialog>
  );
}
