import { clsx } from 'clsx';
import type { ReactNode } from 'react';

import type { NamespaceFact } from '@/api/schema.gen.ts';
import { Tag } from '@/ui/Chip.tsx';

import { Fact } from './evidence.tsx';
import { t } from './messages.ts';

const NAMES: Readonly<Record<string, string>> = {
  user: t('ns_user'),
  pid: t('ns_pid'),
  mnt: t('ns_mnt'),
  net: t('ns_net'),
  uts: t('ns_uts'),
  ipc: t('ns_ipc'),
  cgroup: t('ns_cgroup'),
  time: t('ns_time'),
};

export function namespaceName({ kind }: NamespaceFact): string {
  return NAMES[kind] ?? kind;
}

export function namespaceState({ shared_with_host: shared }: NamespaceFact): string {
  return shared ? t('shared') : t('own');
}

/** The namespaces as boxes in boxes: a dashed one is the host's own, so nothing is kept apart there. */
export function Namespaces({
  namespaces,
  engine,
}: {
  namespaces: readonly NamespaceFact[];
  engine: string;
}): ReactNode {
  const user = namespaces.find(({ kind }) => kind === 'user');
  const others = namespaces.filter(({ kind }) => kind !== 'user');
  const colour = engine === 'mini' ? 'border-mini' : 'border-docker';
  return (
    <section aria-label={t('namespaces')} className="min-w-0 rounded-card border border-line bg-surface p-3">
      <h2 className="caps mb-2">
        {t('host')}
        {user?.host_inode ? ` · ${t('hostUser', { inode: String(user.host_inode) })}` : ''}
      </h2>
      <div
        className={clsx(
          'rounded-card border p-3',
          user?.shared_with_host ? 'border-dashed border-line-strong' : colour,
        )}
      >
        {user && (
          <Fact
            id="ns:user"
            title={namespaceName(user)}
            evidence={user.evidence}
            className="mb-3 flex w-full flex-wrap items-center justify-between gap-2 px-1"
          >
            <span className="caps">{namespaceName(user)}</span>
            <Tag tone={user.shared_with_host ? 'warn' : 'ok'}>{namespaceState(user)}</Tag>
          </Fact>
        )}
        <div className={clsx('grid grid-cols-2 gap-2 rounded-card border p-2 md:grid-cols-3', colour)}>
          {others.map((namespace) => (
            <Fact
              key={namespace.kind}
              id={`ns:${namespace.kind}`}
              title={namespaceName(namespace)}
              evidence={namespace.evidence}
              className={clsx(
                'flex flex-col gap-0.5 rounded-card! border bg-inset p-2.5',
                namespace.shared_with_host ? 'border-dashed border-line-strong' : 'border-line',
              )}
            >
              <span className="caps">{namespaceName(namespace)}</span>
              <span className="mono">{namespace.inode ?? '–'}</span>
              <span className={clsx('text-xs', namespace.shared_with_host ? 'text-warn' : 'text-muted')}>
                {namespaceState(namespace)}
              </span>
            </Fact>
          ))}
        </div>
      </div>
    </section>
  );
}
