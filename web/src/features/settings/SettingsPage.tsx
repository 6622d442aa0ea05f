import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { useStore } from 'zustand';

import { problemFrom } from '@/api/errors.ts';
import { capabilitiesQuery, sessionQuery } from '@/api/queries.ts';
import type { Capabilities, Capability } from '@/api/schema.gen.ts';
import { bytes, dateTime, duration, number, sentences } from '@/lib/format.ts';
import { setShortcutsEnabled, shortcutsEnabled } from '@/lib/keys.ts';
import { appearance, DENSITIES, setDensity, setTheme, THEMES } from '@/lib/theme.ts';
import { Card } from '@/ui/Card.tsx';
import { Tag } from '@/ui/Chip.tsx';
import { engineName } from '@/ui/EngineMark.tsx';
import { Checkbox } from '@/ui/Field.tsx';
import { PageHeader } from '@/ui/PageHeader.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { Prose } from '@/ui/Prose.tsx';
import { RadioGroup } from '@/ui/RadioGroup.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { t } from './messages.ts';

export function SettingsPage(): ReactNode {
  const { data, error, refetch } = useQuery(capabilitiesQuery);
  return (
    <>
      <PageHeader title={t('title')} />
      <div className="grid items-start gap-3 lg:grid-cols-2">
        <Appearance />
        <Session />
        {error && <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} onRetry={() => void refetch()} />}
        {!data && !error && <Skeleton rows={6} />}
        {data && <About capabilities={data} />}
        {data && <Features title={t('features')} features={data.features} />}
        {data?.engines.map((engine) => (
          <Features
            key={engine.name}
            title={t('featuresOf', { engine: engineName(engine.name) })}
            features={engine.capabilities}
            facts={[
              [t('version'), engine.details?.version ?? sentences(engine.reason, engine.hint)],
              [t('endpoint'), engine.endpoint],
              [t('from'), engine.endpoint_source],
            ]}
          />
        ))}
      </div>
    </>
  );
}

function Appearance(): ReactNode {
  const { theme, density } = useStore(appearance);
  const [shortcuts, setShortcuts] = useState(shortcutsEnabled);
  return (
    <Card title={t('appearance')}>
      <div className="flex flex-col items-start gap-3">
        <Choice label={t('theme')}>
          <RadioGroup
            label={t('theme')}
            value={theme}
            onChange={setTheme}
            options={THEMES.map((value) => ({ value, label: t(value) }))}
          />
        </Choice>
        <Choice label={t('density')}>
          <RadioGroup
            label={t('density')}
            value={density}
            onChange={setDensity}
            options={DENSITIES.map((value) => ({ value, label: t(value) }))}
          />
        </Choice>
        <Checkbox
          label={t('shortcuts')}
          hint={t('shortcutsHint')}
          checked={shortcuts}
          onChange={(event) => {
            setShortcuts(event.target.checked);
            setShortcutsEnabled(event.target.checked);
          }}
        />
      </div>
    </Card>
  );
}

function Choice({ label, children }: { label: string; children: ReactNode }): ReactNode {
  return (
    <div className="flex flex-col gap-1">
      <span aria-hidden className="text-xs font-medium text-muted">
        {label}
      </span>
      {children}
    </div>
  );
}

function Session(): ReactNode {
  const { data } = useQuery(sessionQuery);
  const me = data?.me;
  if (!me) return null;
  return (
    <Card title={t('session')}>
      <Facts
        facts={[
          [t('user'), me.name],
          [t('role'), me.role],
          [t('expires'), dateTime(me.session_expires_at)],
          [t('idle'), duration(me.session_idle_limit_s)],
        ]}
      />
    </Card>
  );
}

function About({ capabilities: { host, server_version: version } }: { capabilities: Capabilities }): ReactNode {
  return (
    <Card title={t('about')}>
      <Facts
        facts={[
          [t('version'), version],
          [t('licenceLabel'), t('licence')],
          [t('host'), host.hostname],
          [t('systemName'), `${host.operating_system} (${host.platform}, ${host.architecture})`],
          [t('kernel'), host.kernel_version],
          [t('cgroup'), host.cgroup_mode],
          [t('processors'), number(host.cpus)],
          [t('memory'), bytes(host.memory_total_bytes)],
          [t('root'), host.root ? t('yes') : t('no')],
        ]}
      />
    </Card>
  );
}

type Facts = readonly (readonly [string, string])[];

function Facts({ facts }: { facts: Facts }): ReactNode {
  return (
    <dl className="grid grid-cols-[minmax(8rem,auto)_1fr] gap-x-4 gap-y-1">
      {facts.map(([label, value]) => (
        <div key={label} className="contents">
          <dt className="text-subtle">{label}</dt>
          <dd className="min-w-0 break-words">
            <Prose text={value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function stateOf({ available, degraded }: Capability): { word: string; tone: 'ok' | 'warn' | 'danger' } {
  if (!available) return { word: t('missing'), tone: 'danger' };
  return degraded ? { word: t('differs'), tone: 'warn' } : { word: t('works'), tone: 'ok' };
}

function Features({
  title,
  features,
  facts,
}: {
  title: string;
  features: readonly Capability[];
  facts?: Facts;
}): ReactNode {
  return (
    <Card title={title}>
      {facts && <Facts facts={facts} />}
      <ul className="divide-y divide-line">
        {features.map((feature) => {
          const state = stateOf(feature);
          return (
            <li key={feature.id} className="flex items-start gap-3 py-1.5">
              <div className="min-w-0 flex-1">
                <p>{feature.title}</p>
                {feature.reason && (
                  <p className="text-xs text-muted">
                    <Prose text={feature.reason} />
                  </p>
                )}
                {feature.hint && (
                  <p className="text-xs text-muted">
                    <Prose text={feature.hint} />
                  </p>
                )}
              </div>
              <Tag tone={state.tone}>{state.word}</Tag>
            </li>
          );
        })}
      </ul>
    </Card>
  );
}
