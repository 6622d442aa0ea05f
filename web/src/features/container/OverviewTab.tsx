import type { ReactNode } from 'react';
import { Link, useParams } from 'react-router';

import { problemFrom } from '@/api/errors.ts';
import type { ContainerDetail, ContainerSummary, Limits, RestartPolicy } from '@/api/schema.gen.ts';
import { useContainer } from '@/api/useContainer.ts';
import { bytes, dateTime, number, shortId, utc } from '@/lib/format.ts';
import { paths } from '@/lib/paths.ts';
import { quote } from '@/lib/shell.ts';
import { Card } from '@/ui/Card.tsx';
import { Tag } from '@/ui/Chip.tsx';
import { Copy } from '@/ui/Copy.tsx';
import { ProblemBox } from '@/ui/ProblemBox.tsx';
import { Skeleton } from '@/ui/Skeleton.tsx';

import { EnvCard } from './EnvCard.tsx';
import { ExitCard } from './ExitCard.tsx';
import { type Fact, Facts } from './Facts.tsx';
import { HealthCard } from './HealthCard.tsx';
import { LiveFigures } from './LiveFigures.tsx';
import { t } from './messages.ts';
import { MountsCard, NetworksCard, PortsCard } from './WiringCards.tsx';

/** What the container is: figures, identity, limits, wiring, environment. */
export function OverviewTab(): ReactNode {
  const { engine = '', id = '' } = useParams();
  const { detail, summary, error, reload } = useContainer(engine, id);
  if (!detail || !summary) {
    return error ? (
      <ProblemBox title={t('cannotLoad')} problem={problemFrom(error)} onRetry={reload} />
    ) : (
      <Skeleton rows={6} />
    );
  }
  const ended = summary.state !== 'running' && summary.state !== 'paused';
  return (
    <div className="flex flex-col gap-3">
      {ended && detail.exit && (
        <ExitCard exit={detail.exit} bad={summary.oom_killed || (summary.exit_code ?? 1) !== 0} />
      )}
      <LiveFigures container={summary} />
      <div className="grid items-start gap-3 lg:grid-cols-2">
        <div className="flex min-w-0 flex-col gap-3">
          <Card title={t('identity')}>
            <Facts facts={identity(detail, summary)} />
          </Card>
          <EnvCard engine={engine} id={summary.id} env={detail.env} />
          <LabelsCard labels={summary.labels} />
        </div>
        <div className="flex min-w-0 flex-col gap-3">
          {detail.health && <HealthCard health={detail.health} />}
          <Card title={t('limits')}>
            <Facts facts={[...limitFacts(detail.limits), ...policyFacts(detail), ...securityFacts(detail)]} />
          </Card>
          <PortsCard ports={summary.ports} />
          <MountsCard mounts={detail.mounts} />
          <NetworksCard networks={detail.networks} />
        </div>
      </div>
    </div>
  );
}

function moment(at: string | null | undefined): ReactNode {
  return at ? <span title={utc(at)}>{dateTime(at)}</span> : null;
}

function words(list: readonly string[]): ReactNode {
  return list.length > 0 ? <code className="mono break-all">{list.map(quote).join(' ')}</code> : null;
}

function identity(detail: ContainerDetail, summary: ContainerSummary): readonly Fact[] {
  return [
    [
      t('id'),
      <span key="id" className="mono -my-1 flex items-center gap-1">
        {shortId(summary.id)}
        <Copy text={summary.id} what={t('id')} />
      </span>,
    ],
    [
      t('image'),
      <Link
        key="image"
        to={paths.images({ q: summary.image })}
        className="mono inline-block py-0.5 break-all text-accent hover:underline"
      >
        {summary.image}
      </Link>,
    ],
    [
      t('imageId'),
      <span key="image-id" className="mono">
        {shortId(summary.image_id)}
      </span>,
    ],
    [t('entrypoint'), words(detail.entrypoint)],
    [t('command'), words(detail.command)],
    [t('workingDir'), detail.working_dir && <span className="mono">{detail.working_dir}</span>],
    [t('user'), detail.user || t('userDefault')],
    [t('hostname'), detail.hostname],
    [t('createdAt'), moment(summary.created_at)],
    [t('startedAt'), moment(summary.started_at)],
    [t('finishedAt'), moment(summary.finished_at)],
    [t('restarts'), summary.restart_count > 0 ? number(summary.restart_count) : null],
    [
      t('project'),
      summary.project && (
        <Link to={paths.containers({ q: summary.project })} className="inline-block py-0.5 text-accent hover:underline">
          {[summary.project, summary.service].filter(Boolean).join(' / ')}
        </Link>
      ),
    ],
  ];
}

function limitFacts(limits: Limits): readonly Fact[] {
  const size = (value: number | null | undefined): string | null => (value ? bytes(value) : null);
  return [
    [t('limitMemory'), size(limits.memory_bytes) ?? t('none')],
    [t('limitSwap'), size(limits.memory_swap_bytes)],
    [t('limitCpu'), limits.cpus ? t('cores', { count: limits.cpus }) : t('none')],
    [t('limitShares'), limits.cpu_shares ? number(limits.cpu_shares) : null],
    [t('limitCpuset'), limits.cpuset],
    [t('limitPids'), limits.pids ? number(limits.pids) : t('none')],
    [t('limitBlkio'), limits.blkio_weight ? number(limits.blkio_weight) : null],
  ];
}

function policyText({ name = 'no', maximum_retry_count: most }: RestartPolicy): string {
  const word = t(`policy_${name}`);
  return name === 'on_failure' && most ? `${word}, ${t('atMost', { count: most })}` : word;
}

function policyFacts(detail: ContainerDetail): readonly Fact[] {
  const stop =
    detail.stop_timeout_s === null || detail.stop_timeout_s === undefined
      ? detail.stop_signal
      : t('stopTimeout', { signal: detail.stop_signal, seconds: detail.stop_timeout_s });
  return [
    [t('restart'), policyText(detail.restart_policy)],
    [t('stopSignal'), stop],
  ];
}

function securityFacts(detail: ContainerDetail): readonly Fact[] {
  const marks = (
    <span className="flex flex-wrap gap-1">
      {detail.privileged && <Tag tone="danger">{t('privileged')}</Tag>}
      {detail.read_only_rootfs && <Tag tone="ok">{t('readOnly')}</Tag>}
      {detail.security_options.map((option) => (
        <Tag key={option}>{option}</Tag>
      ))}
    </span>
  );
  const any = detail.privileged || detail.read_only_rootfs || detail.security_options.length > 0;
  return [
    [t('security'), any ? marks : null],
    [t('capAdd'), detail.cap_add.join(', ')],
    [t('capDrop'), detail.cap_drop.join(', ')],
    [t('runtime'), detail.runtime],
  ];
}

function LabelsCard({ labels }: { labels: ContainerSummary['labels'] }): ReactNode {
  const entries = Object.entries(labels);
  return (
    <Card title={t('labels')} note={entries.length > 0 ? String(entries.length) : undefined}>
      {entries.length === 0 && <p className="text-muted">{t('noLabels')}</p>}
      <ul className="mono divide-y divide-line">
        {entries.map(([key, value]) => (
          <li key={key} className="py-1 break-all">
            <Link
              to={paths.containers({ q: `label:${key}=${value}` })}
              title={t('withLabel', { label: key })}
              className="inline-block py-0.5 hover:underline"
            >
              <span className="text-muted">{key}</span>={value}
            </Link>
          </li>
        ))}
      </ul>
    </Card>
  );
}
