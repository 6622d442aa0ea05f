import type { ReactNode } from 'react';

import type { CgroupFacts } from '@/api/schema.gen.ts';
import { Card } from '@/ui/Card.tsx';
import { Meter } from '@/ui/Progress.tsx';

import { Fact } from './evidence.tsx';
import { t } from './messages.ts';

/** `of 64 MiB` behind a figure, `64 MiB` alone; nothing for what is only counted. */
export function limitText({ limit, current }: CgroupFacts['knobs'][number]): string {
  if (!limit) return '';
  if (limit === 'none') return t('noLimit');
  return current ? t('of', { limit }) : limit;
}

/** Limits with what is used of them now, and where the container is in each hierarchy. */
export function Cgroup({ cgroup, engine }: { cgroup: CgroupFacts; engine: string }): ReactNode {
  return (
    <Card title={t('cgroup')} note={t('cgroupMode', { mode: cgroup.mode })}>
      <ul className="flex flex-col gap-2">
        {cgroup.knobs.map((knob) => (
          <li key={`${knob.controller}:${knob.title}`}>
            <Fact
              id={`knob:${knob.controller}:${knob.title}`}
              title={knob.title}
              evidence={knob.evidence}
              className="flex w-full flex-col gap-1 px-1 py-0.5"
            >
              <span className="flex w-full flex-wrap justify-between gap-x-3">
                <span className="font-semibold">{knob.title}</span>
                <span>
                  {knob.current} <span className="text-subtle">{limitText(knob)}</span>
                </span>
              </span>
              {knob.used_percent !== null && knob.used_percent !== undefined && (
                <Meter
                  label={knob.title}
                  percent={knob.used_percent}
                  colour={engine === 'mini' ? 'bg-mini' : 'bg-docker'}
                  className="w-full"
                />
              )}
            </Fact>
          </li>
        ))}
      </ul>
      <details className="mt-2">
        <summary className="min-h-6 text-xs text-muted">{t('paths')}</summary>
        <ul className="mono flex flex-col">
          {cgroup.paths.map((path) => (
            <li key={`${path.controllers}:${path.path}`}>
              <Fact
                id={`path:${path.controllers}`}
                title={path.controllers || `v${String(path.version)}`}
                evidence={path.evidence}
                className="w-full px-1 break-all"
              >
                <span className="text-subtle">
                  v{path.version} {path.controllers}
                </span>{' '}
                {path.path}
              </Fact>
            </li>
          ))}
        </ul>
      </details>
    </Card>
  );
}
