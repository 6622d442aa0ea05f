import type { ReactNode } from 'react';
import { useFormContext, useWatch } from 'react-hook-form';

import { Checkbox, Select, TextField } from '@/ui/Field.tsx';

import { errorCount } from './errors.ts';
import { t } from './messages.ts';
import type { Values } from './schema.ts';
import { Section } from './Section.tsx';

/** What it may take, and what happens when it ends. */
export function LimitsSection(): ReactNode {
  const { register, control, formState } = useFormContext<Values>();
  const [memory, cpus, pids, restart] = useWatch({ control, name: ['memory', 'cpus', 'pids', 'restart'] });
  const { errors } = formState;
  const summary = [memory, cpus && `${cpus} CPU`, pids && `${pids} pids`, restart !== 'no' && t(`restart_${restart}`)]
    .filter(Boolean)
    .join(' · ');
  return (
    <Section
      title={t('limits')}
      summary={summary || t('none')}
      errors={errorCount(errors, ['memory', 'cpus', 'pids', 'restart', 'retries'])}
    >
      <div className="grid gap-3 sm:grid-cols-3">
        <TextField
          label={t('memory')}
          {...register('memory')}
          placeholder="256m"
          error={errors.memory?.message}
          hint={t('memoryHint')}
        />
        <TextField
          label={t('cpus')}
          {...register('cpus')}
          inputMode="decimal"
          placeholder="0.5"
          error={errors.cpus?.message}
          hint={t('cpusHint')}
        />
        <TextField
          label={t('pids')}
          {...register('pids')}
          inputMode="numeric"
          placeholder="100"
          error={errors.pids?.message}
          hint={t('pidsHint')}
        />
        <Select label={t('restart')} {...register('restart')} error={errors.restart?.message}>
          <option value="no">{t('restart_no')}</option>
          <option value="on_failure">{t('restart_on_failure')}</option>
          <option value="unless_stopped">{t('restart_unless_stopped')}</option>
          <option value="always">{t('restart_always')}</option>
        </Select>
        {restart === 'on_failure' && (
          <TextField
            label={t('retries')}
            {...register('retries')}
            inputMode="numeric"
            error={errors.retries?.message}
          />
        )}
      </div>
    </Section>
  );
}

/** What is seldom needed. */
export function AdvancedSection(): ReactNode {
  const { register, formState } = useFormContext<Values>();
  const { errors } = formState;
  return (
    <Section
      title={t('advanced')}
      open={false}
      errors={errorCount(errors, [
        'hostname',
        'user',
        'workingDir',
        'network',
        'tty',
        'init',
        'autoRemove',
        'readOnlyRootfs',
      ])}
    >
      <div className="grid gap-3 sm:grid-cols-2">
        <TextField
          label={t('hostname')}
          {...register('hostname')}
          spellCheck={false}
          error={errors.hostname?.message}
        />
        <TextField
          label={t('user')}
          {...register('user')}
          spellCheck={false}
          error={errors.user?.message}
          hint={t('userHint')}
        />
        <TextField
          label={t('workingDir')}
          {...register('workingDir')}
          spellCheck={false}
          error={errors.workingDir?.message}
        />
        <TextField
          label={t('network')}
          {...register('network')}
          spellCheck={false}
          error={errors.network?.message}
          hint={t('networkHint')}
        />
        <Checkbox label={t('tty')} {...register('tty')} />
        <Checkbox label={t('init')} {...register('init')} />
        <Checkbox label={t('autoRemove')} {...register('autoRemove')} />
        <Checkbox label={t('readOnlyRootfs')} {...register('readOnlyRootfs')} />
      </div>
    </Section>
  );
}
