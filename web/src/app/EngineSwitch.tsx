import type { ReactNode } from 'react';
import { useParams } from 'react-router';

import { type EngineChoice, unavailable, useEngineChoice } from '@/live/engine-choice.ts';
import { useEngines } from '@/live/stores.ts';
import { EngineMark } from '@/ui/EngineMark.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';

import { t } from './messages.ts';

/** All, Docker or Mini. On the page of one object it shows that object's engine. */
export function EngineSwitch(): ReactNode {
  const { choice, choose } = useEngineChoice();
  const { items } = useEngines();
  const { engine: fixed } = useParams();
  const reasonOf = (name: string): string | undefined => {
    if (fixed) return fixed === name ? undefined : t('engineFixed');
    const engine = items.find((one) => one.name === name);
    return engine && unavailable(engine);
  };
  const value: EngineChoice = fixed === 'docker' || fixed === 'mini' ? fixed : choice;
  return (
    <RadioGroup
      label={t('engine')}
      value={value}
      onChange={choose}
      options={[
        { value: 'all', label: t('all'), disabledReason: fixed && t('engineFixed') },
        { value: 'docker', label: <EngineMark engine="docker" />, disabledReason: reasonOf('docker') },
        { value: 'mini', label: <EngineMark engine="mini" />, disabledReason: reasonOf('mini') },
      ]}
      className="max-sm:[&_label]:px-2"
    />
  );
}
