import { Plus, X } from 'lucide-react';
import { type ReactNode, useMemo } from 'react';
import { useFieldArray, useFormContext, useWatch } from 'react-hook-form';

import { useContainers } from '@/live/stores.ts';
import { Button } from '@/ui/Button.tsx';
import { engineName } from '@/ui/EngineMark.tsx';
import { Select, TextField } from '@/ui/Field.tsx';
import { IconButton } from '@/ui/IconButton.tsx';

import { errorCount } from './errors.ts';
import { t } from './messages.ts';
import type { Values } from './schema.ts';
import { Section } from './Section.tsx';

/** Published ports; says who uses a host port already. */
export function PortsSection({ engines }: { engines: readonly string[] }): ReactNode {
  const { register, control, formState } = useFormContext<Values>();
  const { fields, append, remove } = useFieldArray({ control, name: 'ports' });
  const ports = useWatch({ control, name: 'ports' });
  const { items } = useContainers(engines);
  const taken = useMemo(() => {
    const found = new Map<string, string>();
    for (const container of items) {
      if (container.state !== 'running' && container.state !== 'paused') continue;
      for (const port of container.ports) {
        if (port.host_port)
          found.set(
            `${String(port.host_port)}/${port.protocol}`,
            t('portTaken', {
              port: String(port.host_port),
              name: container.name,
              engine: engineName(container.engine),
            }),
          );
      }
    }
    return found;
  }, [items]);
  const { errors } = formState;
  return (
    <Section
      title={t('ports')}
      summary={fields.length > 0 ? t('summaryPorts', { count: fields.length }) : t('none')}
      errors={errorCount(errors, ['ports'])}
      hint={t('portsHint')}
    >
      {fields.map((field, index) => {
        const current = ports[index];
        const used = current && taken.get(`${current.hostPort}/${current.protocol}`);
        return (
          <fieldset
            key={field.id}
            className="grid grid-cols-[1fr_1fr_auto] items-start gap-2 sm:grid-cols-[1.4fr_1fr_1.3fr_6rem_auto]"
          >
            <legend className="sr-only">
              {t('ports')} {index + 1}
            </legend>
            <TextField
              label={t('hostIp')}
              {...register(`ports.${index}.hostIp`)}
              placeholder="0.0.0.0"
              error={errors.ports?.[index]?.hostIp?.message}
              className="max-sm:col-span-3"
            />
            <TextField
              label={t('hostPort')}
              {...register(`ports.${index}.hostPort`)}
              inputMode="numeric"
              error={errors.ports?.[index]?.hostPort?.message}
              hint={used && <span className="text-warn">{used}</span>}
            />
            <TextField
              label={t('containerPort')}
              {...register(`ports.${index}.containerPort`)}
              inputMode="numeric"
              required
              error={errors.ports?.[index]?.containerPort?.message}
            />
            <Select label={t('protocol')} {...register(`ports.${index}.protocol`)} className="max-sm:col-span-2">
              <option value="tcp">TCP</option>
              <option value="udp">UDP</option>
              <option value="sctp">SCTP</option>
            </Select>
            <IconButton
              label={t('removePort', { number: index + 1 })}
              icon={<X size={14} />}
              className="mt-5"
              onClick={() => remove(index)}
            />
          </fieldset>
        );
      })}
      <div>
        <Button
          icon={<Plus size={14} aria-hidden />}
          onClick={() => append({ hostIp: '127.0.0.1', hostPort: '', containerPort: '', protocol: 'tcp' })}
        >
          {t('addPort')}
        </Button>
      </div>
    </Section>
  );
}
