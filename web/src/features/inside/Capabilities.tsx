import { type ReactNode, useState } from 'react';

import type { CapabilityFact, CapabilityFacts } from '@/api/schema.gen.ts';
import { Button } from '@/ui/Button.tsx';
import { Card } from '@/ui/Card.tsx';

import { Fact } from './evidence.tsx';
import { t } from './messages.ts';

const FEW = 6;

export function shortCapability(name: string): string {
  return name.replace(/^CAP_/, '').toLowerCase();
}

/** Which of root's powers the first process has, and which it can never get. */
export function Capabilities({ facts }: { facts: CapabilityFacts }): ReactNode {
  const [all, setAll] = useState(false);
  const kept = facts.capabilities.filter((one) => one.effective || one.bounding);
  const dropped = facts.capabilities.filter((one) => !one.effective && !one.bounding);
  const shown = all ? dropped : dropped.slice(0, FEW);
  return (
    <Card title={t('capabilities')} note={t('capNote', { kept: kept.length, dropped: dropped.length })}>
      <ul className="flex flex-wrap gap-1.5">
        {[...kept, ...shown].map((capability) => (
          <li key={capability.name}>
            <Chip capability={capability} facts={facts} />
          </li>
        ))}
      </ul>
      {!all && dropped.length > FEW && (
        <Button variant="ghost" className="mt-1" onClick={() => setAll(true)}>
          {t('showDropped', { count: dropped.length })}
        </Button>
      )}
    </Card>
  );
}

function Chip({ capability, facts }: { capability: CapabilityFact; facts: CapabilityFacts }): ReactNode {
  const has = capability.effective || capability.bounding;
  return (
    <Fact
      id={`cap:${capability.name}`}
      title={`${capability.name} · ${has ? t('kept') : t('dropped')}`}
      evidence={{ ...facts.evidence, sentence: capability.sentence }}
      className={`rounded-pill! border px-2 text-xs ${has ? 'border-line-strong text-fg' : 'border-line text-subtle line-through'}`}
    >
      {shortCapability(capability.name)}
    </Fact>
  );
}
